"""Whether Braze and BlueConic hold the same, worked out by other code than the pipeline's."""
