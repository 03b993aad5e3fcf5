"""The buckets of the sandbox's S3, and their region."""

from __future__ import annotations

__all__ = ["BUCKETS", "EXPORT_BUCKET", "REGION"]

REGION = "us-east-1"
EXPORT_BUCKET = "sandbox-braze-exports"

BUCKETS = ("sandbox-sync", EXPORT_BUCKET)
"""Buckets that exist after the start: for the ledger's files, and for what Braze exports."""
