"""The delta of one partition: what must be sent so that the target equals the mapped snapshot, field by field.

Delta row: ``identifier``, ``kind`` (``insert``, ``change``, ``leave``, ``return``), ``as_of``, ``to_send``,
``data_points``, and one ``field_…`` column a target field: JSON text to send, or NULL to say nothing.
A row without anything to send only keeps the books: who is in the segment, and what was seen.

Kinds of rows that never have anything to send are ``move`` (the person has another identifier now, and is off the list
under this one) and ``known`` (of a record that was skipped, the ledger learns by what else the person is known).

Some goals have more columns: ``matching`` (how the target finds the person), ``known_by`` (what the ledger learns of
who somebody is), ``takes_over`` (the person moved here from another row, and is on the list whatever becomes of the
sending), ``crossed`` (fields that stay in doubt even once they are accepted), ``increase_…`` of a number that is added
to (what is added; its ``field_…`` says what the counter stands at then), ``noted_…`` with ``seen_as_of`` (what the
ledger learns of a field that is not sent, since the target holds it already or a counter fell), and ``repair_hash``
with ``sticks`` (which values are sent only because the target was seen not to hold them any more, and whether all that
were put right before are there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.absent import collect_absent
from airflow_provider_braze_blueconic.sync.delta.compare import compare
from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts, count_delta
from airflow_provider_braze_blueconic.sync.delta.data_points import fill_in_data_points
from airflow_provider_braze_blueconic.sync.delta.delta_rows import collect_rows
from airflow_provider_braze_blueconic.sync.delta.emptied import count_filled_quiet
from airflow_provider_braze_blueconic.sync.delta.identity import Identities
from airflow_provider_braze_blueconic.sync.delta.leavers import collect_leavers
from airflow_provider_braze_blueconic.sync.delta.looks import Looks
from airflow_provider_braze_blueconic.sync.delta.news import News
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.delta.quiet import QUIET, People, load_mapped, set_aside_quiet
from airflow_provider_braze_blueconic.sync.delta.repairs import collect_repairs
from airflow_provider_braze_blueconic.sync.delta.resting import rest
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.delta.seen_people import load_seen
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows

if TYPE_CHECKING:
    pass

__all__ = ["compute_delta"]

_ROW_GROUP = 20_480
"""Rows. An upload holds one group of all columns in memory: 35 MB of ten fields, and 115 MB with DuckDB's 122,880."""


def compute_delta(
    engine: Engine,
    *,
    partition: int,
    mapped: Sequence[Path],
    skipped: Path | None,
    ledger: LedgerRows,
    plan: DeltaPlan,
    out: Path,
    seen: Sequence[Seen] = (),
    identities: Identities | None = None,
    people: People | None = None,
) -> DeltaCounts:
    """Write the delta of one partition.

    :param mapped: the partition's files of the mapped snapshot; none when nobody is in it.
    :param skipped: people who were read but not mapped; they did not leave.
    :param out: Parquet file to write; not written when it would be empty.
    :param seen: what reads of other goals saw in the target.
    :param identities: who of the ledger is who of the read; ``None`` where people have one identifier.
    :param people: everybody in the partition, where values were mapped of some alone.
    """
    copies = out.with_name(f"ledger-{partition}")
    with connect(engine) as connection, ledger.holding(partition, plan.partitions, copies) as held:
        newest = ledger.newest_as_of()
        doubts = ledger.doubts(plan.settings(newest))
        # Of a file of changes, who is in it is news even where nothing differs.
        may_be_quiet = plan.confirms and not doubts and not seen
        quiet = set_aside_quiet(connection, partition, people if may_be_quiet else None, ledger, plan, identities, held)
        ledger.load(
            connection,
            partition,
            plan.all_columns,
            partitions=plan.partitions,
            doubts=doubts,
            with_known_by=True,
            but=QUIET if quiet else None,
            files=held,
        )
        load_mapped(connection, mapped, people, plan, out.with_suffix(""))
        news = News.load(connection, ledger, plan, partition, identities)
        floor = newest if plan.confirms else None
        certain, echoed = load_seen(connection, plan, seen, skipped)
        looks = Looks.at(plan, floor, certain, echoed, is_whole=any(one.whole for one in seen))
        absent = collect_absent(connection, plan) if looks.is_whole else 0
        compare(connection, plan, floor, looks, news)
        collect_repairs(connection, plan, looks)
        collect_rows(connection, plan, looks, news)
        if identities is not None:
            identities.collect(connection, as_of=plan.as_of)
        spared = collect_leavers(connection, plan, partition, skipped, floor, news) if plan.complete else 0
        rest(connection, plan, looks, news)
        fill_in_data_points(connection, plan)
        counts = replace(count_delta(connection, plan, looks, quiet=quiet), spared=spared, absent=absent)
        if quiet:
            filled = list(counts.filled)
            counts.filled.update(count_filled_quiet(connection, ledger, plan, partition, filled, held))
        if connection.execute("SELECT count(*) FROM delta").fetchall()[0][0]:
            how = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}"
            connection.execute(f"COPY delta TO {literal(str(out))} ({how})")
    return counts
