"""One operator for each arrow of the pipeline, and each of use alone."""
