"""How long map, delta and request bodies take for 1,000,000 people with 20 fields, of whom 1 % changed."""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import tempfile
import time
from pathlib import Path

from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged

PEOPLE = 1_000_000
PARTITIONS = 4
CHANGED = 100  # one of so many people


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--partitions", type=int, default=PARTITIONS)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-core-") as folder:
        _measure(Path(folder), given.people, given.partitions)


def _measure(home: Path, people: int, partitions: int) -> None:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
    from airflow_provider_braze_blueconic.sync.braze.objects import attributes_sql
    from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
    from airflow_provider_braze_blueconic.sync.delta.partition_delta import compute_delta
    from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, parquet_source
    from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
    from airflow_provider_braze_blueconic.sync.plans.to_braze import delta_plan, mapping_plan
    from airflow_provider_braze_blueconic.sync.state.ledger import Ledger

    engine = Engine(home / "work", memory_limit="2GB", threads=2)
    engine.folder.mkdir()
    fields = [ExportField.model_validate(row) for row in _rows()]
    identifiers = [ExportIdentifier(blueconic="crm", braze="external_id")]
    mapping = mapping_plan(
        identifiers, fields, property_types={}, clear_missing=False, objectives=(), partitions=partitions
    )
    ledger = Ledger(str(home / "ledger"), {})

    def run(name: str, as_of: dt.datetime) -> tuple[dict[str, float], DeltaCounts, dict[int, Path]]:
        seconds: dict[str, float] = {}
        began = time.perf_counter()
        map_snapshot(engine, [home / f"{name}.parquet"], mapping, home / name)
        seconds["map"] = time.perf_counter() - began
        began = time.perf_counter()
        delta = delta_plan(
            fields,
            partitions=partitions,
            as_of=as_of,
            send="changed_fields",
            leavers="keep",
            complete=True,
            allow_stale=False,
        )
        counts, files = DeltaCounts(), {}
        for partition in range(partitions):
            out = home / f"{name}-delta-{partition}.parquet"
            counts += compute_delta(
                engine,
                partition=partition,
                mapped=sorted((home / name).glob(f"partition={partition}/*.parquet")),
                skipped=home / name / "skipped.parquet",
                ledger=ledger,
                plan=delta,
                out=out,
            )
            if out.exists():
                files[partition] = out
        seconds["delta"] = time.perf_counter() - began
        began = time.perf_counter()
        bodies = 0
        for file in files.values():
            with connect(engine) as connection:
                source = parquet_source([file])
                columns = [column for column, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
                for batch in connection.sql(attributes_sql(source, columns, allow_creation=False)).to_arrow_reader(
                    10_000
                ):
                    bodies += sum(map(len, batch.column("body").to_pylist()))
        seconds["bodies"] = time.perf_counter() - began
        return seconds, counts, files

    _write_snapshot(home / "first.parquet", people, night=1)
    _write_snapshot(home / "second.parquet", people, night=2)
    first = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    _, _, files = run("first", first)
    began = time.perf_counter()
    receipts = _accept_all(home, files)
    ledger.commit(
        engine,
        Acknowledged(
            run_key="first",
            delta_id="1",
            as_of=first,
            partitions=partitions,
            delta=files,
            receipts=receipts,
            receipt_rows=people,
        ),
    )
    committed = time.perf_counter() - began
    seconds, counts, _ = run("second", first + dt.timedelta(days=1))
    total = sum(seconds.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"core: {people:,} people, 20 fields, {counts.to_send:,} changed, {partitions} partitions, 2 threads")
    for name, value in seconds.items():
        print(f"  {name:<28} {value:.2f} s")
    print(f"  {'together':<28} {total:.2f} s  (wanted for 1,000,000: at most 3 s)")
    print(f"  {'first commit of the ledger':<28} {committed:.2f} s")
    print(f"  {'peak memory':<28} {peak:,.0f} MiB")


def _rows() -> list[dict[str, str]]:
    types = ["string"] * 10 + ["integer"] * 3 + ["float"] * 2 + ["time"] * 2 + ["boolean"] * 2 + ["array"]
    return [
        {"from": f"property.p{number}", "to": f"attribute_{number}", "type": type_}
        for number, type_ in enumerate(types)
    ]


def _write_snapshot(path: Path, people: int, *, night: int) -> None:
    import duckdb

    columns = [f"['value {n} of ' || (i % {1_000 + 777 * n})] AS property_p{n}" for n in range(10)]
    columns += [f"[((i * {n}) % 100000)::VARCHAR] AS property_p{n}" for n in range(10, 13)]
    columns += [f"[(((i * {n}) % 100000) / 100)::VARCHAR] AS property_p{n}" for n in range(13, 15)]
    columns += [f"[(1700000000000 + i * 1000 * {n})::VARCHAR] AS property_p{n}" for n in range(15, 17)]
    columns += [f"[CASE WHEN i % {n} = 0 THEN 'true' ELSE 'false' END] AS property_p{n}" for n in range(17, 19)]
    columns += ["['a' || (i % 7), 'b' || (i % 11)] AS property_p19"]
    changed = f"CASE WHEN {night} = 2 AND i % {CHANGED} = 0 THEN ['changed'] ELSE property_p0 END AS property_p0"
    duckdb.sql(
        f"""
        COPY (
            SELECT i AS row, 'profile-' || i AS profile_id, '2026-11-0{night}'::TIMESTAMPTZ AS as_of,
                '2026-10-01'::TIMESTAMPTZ AS last_modified, NULL::VARCHAR[] AS consented,
                ['crm-' || i] AS property_crm, * EXCLUDE (i) REPLACE ({changed})
            FROM (SELECT i, {", ".join(columns)} FROM range({people}) AS t(i))
        ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
        """
    )


def _accept_all(home: Path, files: dict[int, Path]) -> list[Path]:
    import duckdb

    receipts = []
    for partition, file in files.items():
        receipts.append(home / f"receipts-{partition}.parquet")
        duckdb.sql(
            "COPY (SELECT identifier, 'accepted' AS outcome, '' AS reason, 201::INTEGER AS status, "
            f"now() AS sent_at, NULL::VARCHAR[] AS refused_fields FROM '{file}') "
            f"TO '{receipts[-1]}' (FORMAT parquet)"
        )
    return receipts


if __name__ == "__main__":
    main()
