"""One operator for each step of the pipeline; each works on its own."""
