from __future__ import annotations

import pyarrow as pa
import pytest

from airflow_provider_braze_blueconic.sync.store.folder_names import folder_problem
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.tables import Table
from tests.support.store import BUCKET, Store, store

__all__ = ["store"]

TWO_FOLDERS = {
    "encoded": "a%20b",
    "encoded letter": "a%c3%bcb",
    "upwards": "a/../b",
    "only upwards": "..",
    "here": "./a",
    "two slashes": "a//b",
    "backslash": "a\\b",
    "pipe": "a|b",
    "brackets": "a[b]",
    "caret": "a^b",
    "query": "a?b",
    "fragment": "a#b",
    "tab": "a\tb",
    "bell": "a\x07b",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "half a character": "a\ud800b",
}
ONE_FOLDER = ("a", "a b", "ü", "日本", "a+b=c&d", "100%", "a%zz", "...", "a..b", ".a", "_x", "~x", "a{b}'\"", "a/b/")


@pytest.mark.parametrize("name", TWO_FOLDERS.values(), ids=TWO_FOLDERS)
def test_a_name_that_two_libraries_read_in_two_ways_is_no_folder(name: str) -> None:
    assert "Choose another one" in str(folder_problem(f"s3://acme-sync/{name}"))
    assert "Choose another one" in str(folder_problem(name))


@pytest.mark.parametrize("name", ONE_FOLDER)
def test_tables_and_objects_of_any_other_name_are_in_one_folder(name: str, store: Store) -> None:
    assert folder_problem(f"s3://{BUCKET}/{name}") is None

    folder = GoalFolder(f"s3://{BUCKET}/{name}", "goal")
    Table(folder.ledger, store.storage_options).append(pa.table({"a": [1]}), transactions={})

    keys = store.keys()
    assert [key for key in keys if not key.startswith(f"{name.rstrip('/')}/goal/ledger/")] == []
    assert Table(folder.ledger, store.storage_options).version == 0
