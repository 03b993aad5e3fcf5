"""Answers of Amazon S3 and similar stores, as our own messages."""
