"""What keeps a goal's folder in order between runs: recovery, renaming, retention, kept snapshots, refusals."""
