"""The two ends of a goal, as plans that the pipeline follows: to Braze, and to BlueConic."""
