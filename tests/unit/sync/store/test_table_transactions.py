from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.store.table_transactions import Transactions
from tests.support.store import BUCKET, Store, store

__all__ = ["store"]

NAMES = ["as_of", "last", "links", "delta:a", "delta:b", "ünï code", "never"]


def commit(uri: str, numbers: Mapping[str, int], **how: Any) -> None:
    properties = CommitProperties(app_transactions=[Transaction(name, number) for name, number in numbers.items()])
    write_deltalake(uri, pa.table({"value": [1]}), mode="append", commit_properties=properties, **how)


def by_delta_rs(table: DeltaTable) -> dict[str, int | None]:
    return {name: table.transaction_version(name) for name in NAMES}


def by_us(table: DeltaTable, uri: str, options: Mapping[str, str] | None = None) -> dict[str, int | None]:
    transactions = Transactions(table, uri, options or {})
    return {name: transactions.number(name) for name in NAMES}


numbers = st.dictionaries(st.sampled_from(NAMES[:-1]), st.integers(-(2**62), 2**62), max_size=3)
what = st.one_of(numbers, st.sampled_from(["checkpoint", "compact", "look"]))


@settings(max_examples=25, deadline=None)
@given(history=st.lists(what, min_size=1, max_size=8))
def test_the_numbers_are_those_that_delta_rs_tells_of_each_version(
    history: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = str(tmp_path_factory.mktemp("table"))
    commit(uri, {"as_of": 1})
    versions = [DeltaTable(uri)]
    for step in history:
        if isinstance(step, dict):
            commit(uri, step)
        elif step == "checkpoint":
            DeltaTable(uri).create_checkpoint()
        elif step == "compact":
            DeltaTable(uri).optimize.compact()
        else:
            versions.append(DeltaTable(uri))

    for table in [*versions, DeltaTable(uri)]:
        assert by_us(table, uri) == by_delta_rs(table)


def log_of(uri: str) -> Path:
    return Path(uri) / "_delta_log"


def _lists_checkpoint_in_parts(uri: str) -> None:
    hint = log_of(uri) / "_last_checkpoint"
    hint.write_text(json.dumps({**json.loads(hint.read_text()), "parts": 2}))


def _has_no_first_commits(uri: str) -> None:
    (log_of(uri) / "_last_checkpoint").unlink()
    (log_of(uri) / f"{0:020d}.json").unlink()


def _has_an_odd_hint(uri: str) -> None:
    (log_of(uri) / "_last_checkpoint").write_text("[]")


@pytest.mark.parametrize("spoil", [_lists_checkpoint_in_parts, _has_no_first_commits, _has_an_odd_hint])
def test_of_a_log_that_is_odd_delta_rs_is_asked(tmp_path: Path, spoil: Any) -> None:
    uri = str(tmp_path / "table")
    commit(uri, {"as_of": 1, "last": 7})
    commit(uri, {"as_of": 2})
    DeltaTable(uri).create_checkpoint()
    table = DeltaTable(uri)
    spoil(uri)

    transactions = Transactions(table, uri, {})

    assert [transactions.number(name) for name in ("as_of", "last", "links")] == [2, 7, None]
    assert transactions._all is None


def test_of_a_table_whose_transactions_expire_delta_rs_is_asked(tmp_path: Path) -> None:
    uri = str(tmp_path / "table")
    commit(uri, {"as_of": 1, "last": 7}, configuration={"delta.setTransactionRetentionDuration": "interval 1 days"})

    assert by_us(DeltaTable(uri), uri) == by_delta_rs(DeltaTable(uri))


def test_many_names_take_no_more_requests_than_two(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"s3://{BUCKET}/table"
    for number in range(5):
        commit(uri, {"as_of": number, f"delta:{number}": number}, storage_options=store.storage_options)
    table = DeltaTable(uri, storage_options=store.storage_options)
    transactions = Transactions(table, uri, store.storage_options)
    asked: list[str] = []
    answer = store.gate._pass
    monkeypatch.setattr(
        store.gate, "_pass", lambda environ, start: asked.append(environ["PATH_INFO"]) or answer(environ, start)
    )
    transactions.number("as_of"), transactions.number("delta:1")
    of_two = len(asked)

    many = [transactions.number(name) for name in (*(f"delta:{number}" for number in range(5)), "as_of", "never")]

    assert many == [0, 1, 2, 3, 4, 4, None]
    assert of_two > 0
    assert len(asked) == of_two
