"""A kill, and who had a durable receipt at that moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.goal import GOAL_ID, STAGING
from tests.cluster.s3 import BUCKET, s3_client

__all__ = ["IDENTIFIER", "Kill", "acknowledged"]

IDENTIFIER = "json_extract_string(identifier, '$.external_id')"
"""SQL: whom a row of receipts or ledger is about."""


@dataclass(frozen=True)
class Kill:
    """A worker that was killed.

    :param moment: Unix seconds after which it sent nothing more, unless processes of it live on.
    :param acknowledged: a Parquet file with the column ``person``: who had a durable receipt then.
    :param left: processes of it that live on.
    """

    worker: str
    step: str
    moment: float
    acknowledged: Path
    left: int


def acknowledged(url: str, file: Path) -> Path:
    """Write who has a durable receipt in any delta of the goal into a Parquet file, and return it."""
    import duckdb

    client, folder = s3_client(url), file.with_suffix("")
    folder.mkdir()
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=f"{STAGING.removeprefix(f's3://{BUCKET}/')}/{GOAL_ID}/work/"
    )
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", []) if "/receipts/" in entry["Key"]]
    for number, key in enumerate(keys):
        client.download_file(BUCKET, key, str(folder / f"{number}.parquet"))
    rows = f"SELECT {IDENTIFIER} AS person FROM '{folder}/*.parquet' WHERE outcome = 'accepted'"
    nobody = "SELECT NULL::VARCHAR AS person WHERE FALSE"
    duckdb.execute(f"COPY ({rows if keys else nobody}) TO '{file}' (FORMAT parquet)")
    return file
