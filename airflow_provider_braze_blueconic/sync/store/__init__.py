"""The bucket: the goal's folder and its paths, tables, the lock, and what one step passes to the next."""
