"""What the reads of other goals saw in the system that a goal writes to."""
