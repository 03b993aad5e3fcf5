"""From a snapshot to a mapped snapshot: the values of the source under the names of the target."""
