"""Delta Lake tables of a goal: opening, appending and replacing partitions, each change at most once.

A commit carries a named, growing number as a Delta application transaction; a commit whose number the table
already has is not made again. That makes committing twice committing once, whatever was killed in between.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    BrokenTable,
    SyncError,
    TransientError,
    UnsupportedTable,
    WriterConflict,
)
from airflow_provider_braze_blueconic.sync.table_features import TableHead, read_head, unsupported_features

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from airflow_provider_braze_blueconic.sync.staging import Staging

__all__ = ["Table", "from_microseconds", "microseconds"]

# How delta-rs 1.6, Arrow and DuckDB tell of a table that is broken: seen with tests, since none of them documents it.
_MISSING_FILE = re.compile(r"Object at location (\S+) not found")
_DAMAGED_FILE = re.compile(r"Could not open Parquet input source '([^']+)'")
_DAMAGED_PAGE = re.compile(r"Unexpected end of stream|Couldn't deserialize thrift|Parquet magic bytes")
_STORE_FAILED = "Generic S3 error"
"""Stands in the text of what the store itself answered or did not answer: the table may be well."""

_REFUSED = "lacked the necessary privileges"
"""Stands in the text where the store answered 401 or 403."""

_UNTRUSTED = "invalid peer certificate"
_NO_TUNNEL = "tunnel error"

_FILES_KEPT = "delta.deletedFileRetentionDuration"
_LOG_KEPT = "delta.logRetentionDuration"
"""Table properties: for how long a checkpoint remembers a file that was replaced (7 days without it), and for how long
commits are kept (30 days)."""

_SMALL_BYTES = 16 * 1024**2
_SMALL_FILES = 32
"""Files smaller than that which make a table slow to open: each run adds one or more to receipts and runs."""


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def microseconds(moment: dt.datetime) -> int:
    """Write a moment as the number of a transaction: microseconds since 1970, UTC."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def from_microseconds(number: int) -> dt.datetime:
    """Read a moment that is written as microseconds since 1970; aware, UTC."""
    return _EPOCH + dt.timedelta(microseconds=number)


def _what_is_wrong(text: str, *, in_log: bool) -> str | None:
    """Say what is wrong with a table; ``None`` if it is not the table.

    :param in_log: delta-rs could not make sense of the log.
    """
    if missing := _MISSING_FILE.search(text):
        return f"its file {missing[1]} is missing"
    if _STORE_FAILED in text:
        return None
    if damaged := _DAMAGED_FILE.search(text):
        return f"its file {damaged[1]} is damaged"
    if _DAMAGED_PAGE.search(text):
        return "one of its files is damaged"
    if in_log:
        return "its log (_delta_log) is damaged, or files of the log are missing"
    return None


class Table:
    """One Delta table at a URI.

    :param uri: ``s3://…`` or a local path.
    :param storage_options: for delta-rs; see ``StagingHook.storage_options``. Holds credentials: never shown.
    """

    replaces = False
    """Rows are replaced, and not only added."""

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        self.uri = uri
        self._options = _with_bucket(uri, storage_options)
        self._table: DeltaTable | None = None
        self._looked = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    @property
    def exists(self) -> bool:
        """Tell whether the table was ever written."""
        return self.open() is not None

    def open(self) -> DeltaTable | None:
        """Return the table as it was when this object first looked, or ``None`` if it was not there.

        What is read and what is then replaced must be one version, or the writes of another run in between would be
        lost: a write against an older version ends in :class:`WriterConflict`. After a write it looks again.

        :raises UnsupportedTable: somebody gave the table a feature that this package can't use.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self._looked:
            # Not is_deltatable(): it waits for the network with Python's lock held, so no other thread goes on.
            try:
                with self.reading(), _only_told(self._options):
                    self._table = DeltaTable(self.uri, storage_options=self._options)
            except TableNotFoundError:
                self._table = None
            except BrokenTable:
                # Of some features delta-rs says that the log is odd.
                with _only_told(self._options):
                    self._refuse_features(read_head(self.uri, self._options))
                raise
            self._refuse_features(None if self._table is None else TableHead.of(self._table))
            self._looked = True
        return self._table

    def _refuse_features(self, head: TableHead | None) -> None:
        found = [] if head is None else list(unsupported_features(head, self.uri, replaces=self.replaces))
        if found:
            names, ways = zip(*found, strict=True)
            raise UnsupportedTable(
                f"Take {', '.join(names)} off {self.uri}, for example in Spark: {'; '.join(ways)}. Somebody turned it "
                "on, and this package can't work with it. Or bring the folder back as it was before. The table is not "
                "damaged, so there is nothing to recover."
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what reading a broken table raises, here and in DuckDB or Arrow, into one error that says what to do.

        :raises BrokenTable: if a file of the table is missing or damaged, or its log is.
        :raises AccessError: the store refuses access.
        :raises TransientError: the store failed or could not be reached; the table may be well.
        """
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            yield
        except (TableNotFoundError, SyncError):
            raise
        except Exception as error:
            # All of them: DuckDB, Arrow and delta-rs each have their own for the same missing file.
            if failed := self._what_the_store_did(error, "read"):
                raise failed from None
            wrong = _what_is_wrong(str(error), in_log=isinstance(error, DeltaError))
            if wrong is None:
                raise
            raise BrokenTable(f"{self.uri} can't be read: {wrong}. {self.remedy}") from None

    @property
    def remedy(self) -> str:
        """What to do when the table can't be read."""
        return "Bring the missing files back, from a version of the bucket or a backup."

    def _look_again(self) -> None:
        """Let the next use open the table anew: it has, or may have, another version now."""
        self._table, self._looked = None, False

    def _what_the_store_did(self, error: Exception, doing: str) -> SyncError | None:
        """Say in our words that the store refused or failed; ``None`` if it did not. Its own text is not quoted."""
        text = str(error)
        if _UNTRUSTED in text:
            return AccessError(
                f"{self.uri} can't be {doing}: the certificate of the S3 endpoint is not trusted. Set `verify` in the "
                "extra of the aws connection to the file of its CA certificate."
            )
        if _NO_TUNNEL in text:
            return AccessError(
                f"{self.uri} can't be {doing}: the proxy can't be reached or refuses. Check `config_kwargs.proxies` in "
                "the extra of the aws connection, or HTTPS_PROXY and NO_PROXY on the worker."
            )
        if _REFUSED in text:
            return AccessError(
                f"{self.uri} can't be {doing}: the credentials have no right to do so. They need s3:ListBucket, "
                "s3:GetObject, s3:PutObject and s3:DeleteObject there."
            )
        if _STORE_FAILED in text:
            return TransientError(f"{self.uri} can't be {doing} now: Amazon S3 failed or can't be reached. Try again.")
        return None

    def _conflict(self) -> WriterConflict:
        return WriterConflict(f"Another run wrote {self.uri} at the same time; this one changed nothing. Run it again.")

    @property
    def version(self) -> int | None:
        """Version of the table, ``None`` before the first write."""
        table = self.open()
        return None if table is None else table.version()

    def columns(self) -> list[str]:
        """Names of the columns, empty before the first write."""
        table = self.open()
        return [] if table is None else [field.name for field in table.schema().fields]

    def rows(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader | None:
        """Stream all rows; ``None`` before the first write. To be read within :meth:`reading`.

        :param columns: all of the table by default; those that the table does not have are left out.
        """
        table = self.open()
        if table is None:
            return None
        wanted = None if columns is None else [name for name in self.columns() if name in columns]
        # No threads: see RunTable.last_good_read.
        return table.to_pyarrow_dataset().scanner(columns=wanted, use_threads=False).to_reader()

    def transaction(self, name: str) -> int | None:
        """Return the last number committed under a name."""
        table = self.open()
        return None if table is None else table.transaction_version(name)

    def append(self, rows: pa.Table | pa.RecordBatchReader, *, transactions: Mapping[str, int]) -> None:
        """Add rows; a table that is not there yet is made.

        :raises WriterConflict: if another writer was faster.
        """
        self._write(rows, transactions=transactions, mode="append")

    def replace_partitions(
        self, rows: pa.RecordBatchReader, partitions: Sequence[int], *, transactions: Mapping[str, int]
    ) -> None:
        """Put rows in the place of all rows of some partitions, in one commit.

        :param rows: with an int32 column ``partition`` that holds no other numbers.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        predicate = f"partition IN ({', '.join(str(int(partition)) for partition in partitions)})"
        if self.exists:
            self._write(rows, transactions=transactions, mode="overwrite", predicate=predicate)
        else:
            # Not append: of two runs that make the table at once, the slower one must lose.
            self._write(rows, transactions=transactions, mode="error", partition_by=["partition"])

    def replace_all(self, rows: pa.RecordBatchReader, *, transactions: Mapping[str, int]) -> None:
        """Put rows in the place of all rows of a table that exists, in one commit.

        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        self._write(rows, transactions=transactions, mode="overwrite")

    def compact(self, *, at_least: int = _SMALL_FILES) -> int:
        """Put small files together where there are many of them; no row changes.

        :param at_least: so many files have to be small, or it is not worth it.
        :return: files that are gone.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        from deltalake.exceptions import CommitFailedError

        table = self.open()
        if table is None:
            return 0
        with self.reading():
            sizes = table.get_add_actions(flatten=True).column("size_bytes").to_pylist()
            if sum(size < _SMALL_BYTES for size in sizes) < at_least:
                return 0
            try:
                # One at a time: what it holds in memory grows with each.
                done = table.optimize.compact(max_concurrent_tasks=1)
            except CommitFailedError as error:
                raise self._conflict() from error
            finally:
                self._look_again()
        return int(done["numFilesRemoved"])

    def keep_history(self, days: int, staging: Staging) -> None:
        """Have the table keep what its versions of the last days need; no row changes.

        At each checkpoint delta-rs forgets files that were replaced longer ago than the table's own properties say,
        and a vacuum then takes them, whatever number it is told. A commit is made only where a number is another.

        :param staging: the store that the table is in.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        table = self.open()
        if table is None or self._keeps(days):
            return
        # Not alter.set_table_properties(): in deltalake 1.6 it waits for the network with Python's lock held, so that
        # no sign of life is given meanwhile. A commit is an object that nobody has written yet: see Delta's
        # PROTOCOL.md, "Change Metadata", read 2026-11.
        commit = f"{self.uri}/_delta_log/{table.version() + 1:020d}.json"
        written = staging.write_bytes(commit, _with_properties(table, _history(days)), if_absent=True)
        self._look_again()
        # What was refused may be this commit's own repetition after a lost answer.
        if not written and not self._keeps(days):
            raise self._conflict()

    def _keeps(self, days: int) -> bool:
        table = self.open()
        return table is not None and _history(days).items() <= table.metadata().configuration.items()

    def vacuum(self, days: int) -> int:
        """Remove files that only versions older than some days need, and those that a killed writer left.

        :param days: as many as the table keeps; see :meth:`keep_history`.
        :return: files that are gone.
        """
        if not self._vacuum(days, dry_run=True):
            return 0
        # A vacuum takes what the log names as replaced also where it is long gone, and notes that in two commits. So a
        # checkpoint comes first: it forgets what is older than the table keeps, and only files that are there are left.
        table = self.open()
        if table is None:
            return 0
        with self.reading():
            table.create_checkpoint()
        self._look_again()
        return self._vacuum(days, dry_run=False)

    def _vacuum(self, days: int, *, dry_run: bool) -> int:
        table = self.open()
        if table is None:
            return 0
        with self.reading():
            # All files and not only those that the log names: a writer that was killed told nobody of its own.
            gone = table.vacuum(24 * days, dry_run=dry_run, enforce_retention_duration=False, full=True)
        if not dry_run:
            self._look_again()
        return len(gone)

    def _write(
        self, rows: pa.Table | pa.RecordBatchReader, *, transactions: Mapping[str, int], mode: str, **how: Any
    ) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        existing = self.open()
        where: dict[str, Any] = (
            {"table_or_uri": self.uri, "storage_options": self._options}
            if existing is None
            else {"table_or_uri": existing, "schema_mode": "merge"}
        )
        properties = CommitProperties(
            app_transactions=[Transaction(name, number) for name, number in transactions.items()],
            # A lost race must be looked at, not repeated with what was read before it.
            max_commit_retries=None if mode == "append" else 0,
        )
        try:
            with _only_told(self._options) if existing is None else nullcontext():
                write_deltalake(data=rows, mode=mode, commit_properties=properties, **where, **how)  # type: ignore[call-overload]  # the mode decides which
        except (DeltaError, OSError) as error:
            self._look_again()
            if not _holds(existing, transactions) and self._holds_now(transactions):
                return
            if isinstance(error, CommitFailedError) or (mode == "error" and "already exists" in str(error)):
                raise self._conflict() from error
            if failed := self._what_the_store_did(error, "written"):
                raise failed from None
            raise
        finally:
            self._look_again()

    def _holds_now(self, transactions: Mapping[str, int]) -> bool:
        """Tell whether a commit is in the table although it was told to have failed.

        Where the answer to a commit is lost, delta-rs either says so or tries again and meets its own commit, which it
        takes for another writer's.
        """
        try:
            return _holds(self.open(), transactions)
        except SyncError:
            return False


def _history(days: int) -> dict[str, str]:
    return dict.fromkeys((_FILES_KEPT, _LOG_KEPT), f"interval {days} days")


def _with_properties(table: DeltaTable, properties: Mapping[str, str]) -> bytes:
    """Write a commit that sets properties of a table and changes nothing else."""
    known = table.metadata()
    info = {
        "timestamp": int(dt.datetime.now(dt.UTC).timestamp() * 1000),
        "operation": "SET TBLPROPERTIES",
        "operationParameters": {"properties": json.dumps(properties)},
        "engineInfo": "airflow-provider-braze-blueconic",
    }
    head = {
        "id": str(known.id),
        "name": known.name,
        "description": known.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": table.schema().to_json(),
        "partitionColumns": known.partition_columns,
        "createdTime": known.created_time,
        "configuration": {**known.configuration, **properties},
    }
    return "\n".join(json.dumps(action) for action in ({"commitInfo": info}, {"metaData": head})).encode()


_ENVIRONMENT = re.compile(
    "(aws_)?((session_)?token|endpoint(_url(_s3)?)?)|access_key_id|secret_access_key|(default_)?region|timeout"
    "|connect_timeout|read_timeout|user_agent|proxy_(url|excludes|ca_certificate)"
    "|allow_http|allow_invalid_certificates|skip_signature|unsigned_payload|conditional_put|copy_if_not_exists"
    "|virtual_hosted_style_request|s3_express|request_payer|checksum_algorithm|disable_(tagging|bulk_delete)"
    "|http[12]_only|http2_.*|pool_.*|randomize_addresses|default_content_type|server_side_encryption|sse_.*"
    "|role_arn|role_session_name|web_identity_token_file|endpoint_url_sts|metadata_endpoint|imdsv1_fallback",
    re.IGNORECASE,
)
"""Environment variables that delta-rs 1.6 adds to the options that it is told, by any letter case (``with_env_s3`` in
its ``crates/aws/src/storage.rs``): among them names that anybody may use for anything, such as ``TOKEN``. Whoever sets
one with ``AWS_`` before it means S3, so of these only what the connection decides is hidden."""

_hiding = threading.Lock()


@contextmanager
def _only_told(options: Mapping[str, str]) -> Iterator[None]:
    """Hide environment variables that delta-rs would add to what it is told, while it makes its store.

    A token of the worker's own, beside keys of the connection, is refused by S3; and an empty one can't be told, since
    delta-rs sends it as it is.
    """
    found = [name for name in os.environ if _ENVIRONMENT.fullmatch(name)] if options else []
    if not found:
        yield
        return
    with _hiding:
        hidden = {name: os.environ.pop(name) for name in found if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(hidden)


def _with_bucket(uri: str, storage_options: Mapping[str, str]) -> dict[str, str]:
    """Return options with the bucket in the endpoint where it is addressed that way: delta-rs wants it there."""
    options = dict(storage_options)
    endpoint = options.get("AWS_ENDPOINT_URL")
    if endpoint and options.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") == "true":
        scheme, _, host = endpoint.partition("://")
        options["AWS_ENDPOINT_URL"] = f"{scheme}://{uri.partition('://')[2].partition('/')[0]}.{host}"
    return options


def _holds(table: DeltaTable | None, transactions: Mapping[str, int]) -> bool:
    if table is None or not transactions:
        return False
    return all(table.transaction_version(name) == number for name, number in transactions.items())
