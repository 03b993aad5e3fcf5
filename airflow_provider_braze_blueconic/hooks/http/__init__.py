"""The transport to both vendors: ordinary calls, and single attempts to deliver a body."""
