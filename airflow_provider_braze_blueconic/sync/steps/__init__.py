"""The pipeline: one module for each task id."""
