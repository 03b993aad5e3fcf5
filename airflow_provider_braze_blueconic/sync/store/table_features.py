"""Features that somebody enabled on a Delta table and that this package can't read or write.

Another engine can turn on a feature of a table with one statement. delta-rs then opens the table and reads NULL in
every column, or writes until its first commit, or calls its log odd. So a table is looked at when it is opened, before
anything is sent: what is refused here would else fail when the outcome of an upload has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_braze_blueconic.sync.store.table_head import TableHead

__all__ = ["unsupported_features"]

# What deltalake 1.6.6 does with each: every feature of Delta's PROTOCOL.md ("Valid Feature Names in Table Features",
# read 2026-11) was set on a table like ours, which was then read through PyArrow, appended to and replaced.
_READABLE = frozenset({"timestampNtz", "variantType", "variantType-preview"})
_WRITABLE = _READABLE | {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"}

_NEWEST_READER = 3
_NEWEST_WRITER = 7
_FEATURE_LISTS = 7
"""Writer version from which a table lists its features by name."""

_IDENTITY_WRITER = 6
"""The version that stands for identity columns where features are not listed; delta-rs refuses to write it."""

_DROP = "ALTER TABLE delta.`{uri}` DROP FEATURE {name}"
_UNSET = "ALTER TABLE delta.`{uri}` UNSET TBLPROPERTIES ('{name}')"

# Key in the metadata of a column -> what it is.
_COLUMN_RULES = {
    "delta.generationExpression": "a generated column",
    "delta.identity.step": "an identity column",
    "delta.invariants": "an invariant on a column",
}
_CONSTRAINT = "delta.constraints."


def unsupported_features(head: TableHead, uri: str, *, replaces: bool) -> Iterator[tuple[str, str]]:
    """Name the features of a table that this package can't work with, each with the SQL that takes it off.

    :param replaces: rows of the table are replaced, and not only added.
    """
    yield from _named_features(head, uri)
    yield from _newer_versions(head, uri)
    if replaces and head.properties.get("delta.appendOnly", "").lower() == "true":
        yield "delta.appendOnly", _UNSET.format(uri=uri, name="delta.appendOnly")
    yield from _constraints(head, uri)
    yield from _column_rules(head, uri)


def _named_features(head: TableHead, uri: str) -> Iterator[tuple[str, str]]:
    named = [*head.reader_features, *(name for name in head.writer_features if name not in head.reader_features)]
    for name in named:
        if (name in head.reader_features and name not in _READABLE) or name not in _WRITABLE:
            yield name, _DROP.format(uri=uri, name=name)
    mapped = head.properties.get("delta.columnMapping.mode", "none")
    # Also without the feature's name: a table of reader version 2 lists none.
    if mapped.lower() != "none" and "columnMapping" not in named:
        yield "columnMapping", _DROP.format(uri=uri, name="columnMapping")


def _newer_versions(head: TableHead, uri: str) -> Iterator[tuple[str, str]]:
    if head.min_reader > _NEWEST_READER or head.min_writer > _NEWEST_WRITER:
        yield f"reader version {head.min_reader}, writer version {head.min_writer}", "rewrite the table"
    elif _IDENTITY_WRITER <= head.min_writer < _FEATURE_LISTS:
        yield "identityColumns", _DROP.format(uri=uri, name="identityColumns")


def _constraints(head: TableHead, uri: str) -> Iterator[tuple[str, str]]:
    for name in head.properties:
        if name.startswith(_CONSTRAINT):
            constraint = name.removeprefix(_CONSTRAINT)
            yield f"constraint {constraint}", f"ALTER TABLE delta.`{uri}` DROP CONSTRAINT {constraint}"


def _column_rules(head: TableHead, uri: str) -> Iterator[tuple[str, str]]:
    for column in head.columns:
        name, metadata = column["name"], column.get("metadata") or {}
        for key, what in _COLUMN_RULES.items():
            if key in metadata:
                yield f"{what} ({name})", f"ALTER TABLE delta.`{uri}` DROP COLUMN {name}"
        if not column.get("nullable", True):
            yield f"NOT NULL on {name}", f"ALTER TABLE delta.`{uri}` ALTER COLUMN {name} DROP NOT NULL"
