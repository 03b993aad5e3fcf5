"""Two nights of an import goal with ``remaining_fields`` that meets one user of very many attributes.

The read of the export, the mapping, the delta and the commit are measured, each in a process of its own. On the second
night one of ``--changed`` users has another value, the wide one among them.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.apart import apart
from tests.bench.bucket import BUCKET, Bucket, running_bucket
from tests.bench.export_read import read_export
from tests.bench.figures import Figures
from tests.bench.middle import GOAL, STAGING, Middle
from tests.bench.spent import Spent

USERS = 1_000
ATTRIBUTES = 5_000
FEW = 20
"""Attributes of all other users."""

_LINKS = ("external_id",)


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--attributes", type=int, default=ATTRIBUTES, help="of the wide user")
    parser.add_argument("--changed", type=int, default=100, help="one of so many users changes on the second night")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    figures = Figures(f"wide user: one of {given.users:,} users has {given.attributes:,} attributes, the others {FEW}")
    with tempfile.TemporaryDirectory(prefix="bench-wide-user-") as folder, running_bucket() as bucket:
        home, peak = Path(folder), 0.0
        middle = Middle(home, bucket, _goal())
        for night, called in enumerate(("first night", "next night"), 1):
            read = _read(home, bucket, given, night)
            sends = [given.users, len(range(0, given.users, given.changed))][night - 1]
            middle.run(night, read.returned, sends=sends)
            steps = {"read": read, **middle.spent}
            for step in ("read", "map_fields", "compute_delta", "commit"):
                figures.add(f"{step}, {called}", steps[step].wall, "s")
            figures.add(f"all, {called}", sum(each.wall for each in steps.values()), "s")
            figures.add(f"all, {called}, CPU", sum(each.cpu for each in steps.values()), "s")
            peak = max(peak, *(each.peak for each in steps.values()))
        figures.add("peak memory", peak, "MiB")
    figures.write(given.json)


def _goal() -> dict[str, Any]:
    return {
        "goal": "import",
        "id": GOAL,
        "staging": STAGING,
        "source": {"segment": "Everybody", "export": f"s3://{BUCKET}/exports"},
        "identifiers": [{"braze": _LINKS[0], "blueconic": "crm"}],
        "allow_creation": True,
        "fields": [],
        "remaining_fields": {"merge": "set", "prefix": "braze_", "create_properties": True},
    }


def _read(home: Path, bucket: Bucket, given: argparse.Namespace, night: int) -> Spent:
    """Read an export into a snapshot in S3; what is returned is the reference of that."""
    as_of = dt.datetime.now(dt.UTC) - dt.timedelta(days=3 - night)
    export, snapshot = home / "export.gz", home / f"snapshot-{night}"
    with gzip.open(export, "wt") as file:
        file.writelines(json.dumps(_user(number, given, night)) + "\n" for number in range(given.users))
    snapshot.mkdir()
    spent = apart(_read_apart, export, as_of, home / "work", snapshot)
    client = bucket.client()
    for path in snapshot.iterdir():
        client.upload_file(str(path), BUCKET, f"snapshots/{night}/{path.name}")
    counts = spent.returned
    if (counts["profiles"], counts["broken_lines"]) != (given.users, 0):
        raise RuntimeError(f"{counts['profiles']:,} of {given.users:,} users were read on night {night}")
    reference = {
        "uri": f"s3://{BUCKET}/snapshots/{night}",
        "profiles": counts["profiles"],
        "segment_id": "everybody",
        "segment_name": "Everybody",
        "segment_size": given.users,
        "read": "full",
        "complete": True,
        "as_of": as_of.isoformat(),
        "bytes": counts["bytes"],
        "property_types": {"crm": "SELECT"},
        "files": 1,
        "broken_lines": 0,
    }
    return Spent(reference, spent.wall, spent.cpu, spent.peak)


def _read_apart(export: Path, as_of: dt.datetime, work: Path, snapshot: Path) -> Spent:
    return read_export([export], _LINKS, True, as_of, work, kept=snapshot)


def _user(number: int, given: argparse.Namespace, night: int) -> dict[str, Any]:
    value = f"changed {night}" if night > 1 and number % given.changed == 0 else "as it was"
    attributes = given.attributes if number == 0 else FEW
    return {
        "braze_id": f"{number:024x}",
        "external_id": f"person-{number}",
        "first_name": f"Name {number % 50}",
        "custom_attributes": {
            "attribute 0": value,
            **{f"attribute {n}": f"value {n} of {number % (n + 3)}" for n in range(1, attributes)},
        },
    }


if __name__ == "__main__":
    main()
