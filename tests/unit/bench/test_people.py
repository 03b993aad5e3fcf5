"""The people that are measured with."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.bench.people import People

AS_OF = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)


def snapshot(people: People, folder: Path, night: int) -> list[dict[str, Any]]:
    return [
        row
        for part in people.write_parts(folder, night=night, as_of=AS_OF)
        for row in sorted(pq.read_table(part).to_pylist(), key=lambda row: row["row"])
    ]


@pytest.mark.parametrize("texts", [False, True])
def test_on_the_second_night_one_of_so_many_has_another_value_in_one_field(texts: bool, tmp_path: Path) -> None:
    people = People(250, 22, texts=texts, changed=100)

    first, second = (snapshot(people, tmp_path, night) for night in (1, 2))

    changed = [
        (before["row"], name)
        for before, after in zip(first, second, strict=True)
        for name in before
        if before[name] != after[name]
    ]
    assert changed == [(row, "property_p0") for row in (0, 100, 200)]
    assert people.to_change == 3


def test_a_snapshot_has_a_column_for_each_field_and_the_parts_of_a_wide_one_are_short(tmp_path: Path) -> None:
    people = People(250, 100, texts=True, cells_per_part=10_000)

    rows = [pq.read_metadata(part).num_rows for part in people.write_parts(tmp_path, night=1, as_of=AS_OF)]

    assert rows == [100, 100, 50]
    assert [row["to"] for row in people.rows()][::99] == ["attribute_0", "attribute_99"]


def test_a_file_holds_the_same_values_as_the_snapshot(tmp_path: Path) -> None:
    people = People(120, 20)
    (first, *_) = snapshot(people, tmp_path, 1)

    people.write_csv(tmp_path / "people.csv", night=1)

    with (tmp_path / "people.csv").open() as file:
        rows = {row["crm"]: row for row in csv.DictReader(file)}
    assert len(rows) == 120
    assert rows[first["property_crm"][0]]["p19"] == "|".join(first["property_p19"])
    assert [rows["crm-0"][f"p{n}"] for n in range(19)] == [first[f"property_p{n}"][0] for n in range(19)]
