"""The waits that need no worker slot."""
