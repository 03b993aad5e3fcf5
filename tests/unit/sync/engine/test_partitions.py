"""The partition of a person never changes: not with a library, and not between Python and SQL."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.engine.partitions import partition_of, partition_sql
from tests.support.core import person

# Written down once. If one of these fails, every existing ledger would lose its people: find out why, don't adapt it.
PINNED = [
    pytest.param(person("1"), 8, 3, id="short id"),
    pytest.param(person("42"), 8, 5, id="another id"),
    pytest.param(person("Zoë"), 8, 5, id="two-byte character"),
    pytest.param(person("😀"), 8, 2, id="emoji"),
    pytest.param('{"user_alias":{"alias_name":"a\\"b","alias_label":"crm"}}', 8, 2, id="alias"),
    pytest.param("", 8, 1, id="nothing"),
    pytest.param(person("1"), 1, 0, id="one partition"),
    pytest.param(person("1"), 1000, 547, id="many partitions"),
]


def in_sql(identifiers: list[str], partitions: int) -> list[int]:
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT {partition_sql('i', partitions)} FROM (SELECT unnest(?::VARCHAR[]) AS i)", [identifiers]
        ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(("identifier", "partitions", "partition"), PINNED)
def test_the_partition_of_a_known_identifier_stays_what_it_was(
    identifier: str, partitions: int, partition: int
) -> None:
    assert partition_of(identifier, partitions) == partition
    assert in_sql([identifier], partitions) == [partition]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=60), st.integers(1, 4096))
@settings(max_examples=30, deadline=None)
def test_sql_and_python_compute_the_same_partition(identifiers: list[str], partitions: int) -> None:
    assert in_sql(identifiers, partitions) == [partition_of(identifier, partitions) for identifier in identifiers]


def test_people_spread_evenly_over_the_partitions() -> None:
    partitions = in_sql([person(str(number)) for number in range(8_000)], 8)

    sizes = [partitions.count(partition) for partition in range(8)]
    assert sum(sizes) == 8_000
    assert min(sizes) > 900
    assert max(sizes) < 1_100
