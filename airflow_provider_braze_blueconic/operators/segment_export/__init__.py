"""The segment export of one run: requested once, awaited, and read."""
