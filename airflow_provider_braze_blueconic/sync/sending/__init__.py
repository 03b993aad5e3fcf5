"""The send loop: batches, pace, patience, and what the target answered."""
