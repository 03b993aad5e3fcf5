"""The person of a record: its identifiers name one person, or the record is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.mapping.matching import unmatched_sql
from airflow_provider_braze_blueconic.sync.mapping.plan import IdentifierLink, MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.source_texts import first_text_sql, has_several_sql, texts_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["identifier_sql", "identify", "with_links"]


def identify(
    connection: duckdb.DuckDBPyConnection, source: str, plan: MappingPlan, folder: Path, *, with_same: bool = False
) -> Mapping[str, int]:
    """Find out who is skipped and why, and leave the rows in the table ``skipped``, who all are in ``identity``.

    :param folder: gets ``skipped.parquet``, and ``identities/`` where a person may be known by several identifiers.
    :param with_same: beside those of the source there are the records in the table ``same``, which were recognised.
    :return: reason → records.
    """
    known = f", as_of, {_all_identifiers_sql(plan)} AS known" if plan.tells_identities else ""
    connection.execute(
        f"""
        CREATE TEMP TABLE identity AS
        SELECT row, profile_id, last_modified, {identifier_sql(plan)} AS identifier, {_reason_sql(plan)} AS reason,
            {_several_identifiers_sql(plan)} AS identifiers{known}
        FROM {with_links(source, plan)}
        """
    )
    if with_same:
        known = ", as_of, identifiers AS known" if plan.tells_identities else ""
        same = f"SELECT row, profile_id, last_modified, identifier{known} FROM same"
        connection.execute(f"INSERT INTO identity BY NAME {same}")
    _skip(connection)
    if plan.tells_identities:
        _write_identities(connection, folder / "identities")
    path = literal(str(folder / "skipped.parquet"))
    # Of a record with several identifiers it is not known who it is, so none of them may count as gone.
    listed = "SELECT row, unnest(coalesce(identifiers, [identifier])) AS identifier, reason FROM skipped"
    connection.execute(f"COPY ({listed}) TO {path} (FORMAT parquet)")
    rows = connection.execute("SELECT reason, count(*) FROM skipped GROUP BY reason ORDER BY reason").fetchall()
    return dict(rows)


def _skip(connection: duckdb.DuckDBPyConnection) -> None:
    """Skip who can't be mapped, and of each person all records but the latest modified one.

    Records of one person are rare, so the window that ranks them runs over the doubles alone.
    """
    connection.execute(
        """
        CREATE TEMP TABLE skipped AS
        SELECT row, identifier, reason, identifiers FROM identity WHERE reason IS NOT NULL
        UNION ALL
        SELECT row, identifier, 'same_person_twice', NULL FROM (
            SELECT row, identifier, row_number() OVER (
                PARTITION BY identifier ORDER BY last_modified DESC NULLS LAST, profile_id, row DESC
            ) AS place
            FROM identity
            WHERE reason IS NULL AND identifier IN (
                SELECT identifier FROM identity WHERE reason IS NULL GROUP BY identifier HAVING count(*) > 1
            )
        )
        WHERE place > 1
        """
    )


def _write_identities(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write who every record is. An older record of a person who occurs twice is that person too."""
    folder.mkdir()
    path = literal(str(folder / "records.parquet"))
    records = (
        "SELECT CASE WHEN reason IS NULL THEN identifier END AS sent_as, known AS identifiers, as_of "
        "FROM identity WHERE len(known) > 0"
    )
    connection.execute(f"COPY ({records}) TO {path} (FORMAT parquet, COMPRESSION lz4_raw)")


def with_links(source: str, plan: MappingPlan, *, first_only: bool = False) -> str:
    """SQL for a source with two more columns a link: ``link<n>``, its first value, and ``normal<n>``, as it is sent.

    They are worked out once, since other expressions use them several times; NULL where there is none.

    :param first_only: ``normal<n>`` is only wanted of the first link that has a value.
    """
    links = list(enumerate(plan.identifiers))
    if not links:
        return source
    values = ", ".join(f"{first_text_sql(link.column, link.is_list)} AS link{n}" for n, link in links)
    normals = ", ".join(f"{_normal_sql(n, link, first_only=first_only)} AS normal{n}" for n, link in links)
    return f"(SELECT *, {normals} FROM (SELECT *, {values} FROM {source}))"


def _normal_sql(number: int, link: IdentifierLink, *, first_only: bool) -> str:
    normal = link.normal.replace("{v}", f"link{number}")
    earlier = " AND ".join(f"link{n} IS NULL" for n in range(number))
    return f"CASE WHEN {earlier} THEN {normal} END" if first_only and earlier else normal


def identifier_sql(plan: MappingPlan) -> str:
    """SQL for the identifier by which a person is sent, as JSON text; NULL where it can't be one.

    It is over :func:`with_links`.
    """
    cases = [
        f"WHEN link{n} IS NOT NULL THEN CASE WHEN normal{n} IS NOT NULL THEN {_text_sql(link, f'normal{n}')} END"
        for n, link in enumerate(plan.identifiers)
    ]
    return f"CASE {' '.join(cases)} END"


def _several_identifiers_sql(plan: MappingPlan) -> str:
    """SQL for the identifiers of a record whose first link with a value has several; NULL where none of them is one."""
    cases = ["WHEN FALSE THEN NULL::VARCHAR[]"]
    for n, link in enumerate(plan.identifiers):
        if link.is_list:
            normals = f"[{link.normal.replace('{v}', 't')} FOR t IN {texts_sql(link.column)}]"
            several = f"[{_text_sql(link, 'n')} FOR n IN list_distinct({normals})]"
            # Also where one of them alone is usable: the person may be in the ledger under it.
            cases.append(f"WHEN {has_several_sql(link.column)} THEN nullif({several}, [])")
        cases.append(f"WHEN link{n} IS NOT NULL THEN NULL")
    return f"CASE {' '.join(cases)} END"


def _all_identifiers_sql(plan: MappingPlan) -> str:
    """SQL for every identifier of a record: of all links, and of all values where one has several."""
    lists = []
    for n, link in enumerate(plan.identifiers):
        found = f"CASE WHEN normal{n} IS NOT NULL THEN [{_text_sql(link, f'normal{n}')}] ELSE [] END"
        if link.is_list:
            normals = f"[{link.normal.replace('{v}', 't')} FOR t IN {texts_sql(link.column)}]"
            several = f"[{_text_sql(link, 'n')} FOR n IN list_distinct({normals})]"
            found = f"CASE WHEN len({link.column}) > 1 THEN {several} ELSE {found} END"
        lists.append(found)
    return f"list_sort(list_distinct(flatten([{', '.join(lists)}])))"


def _text_sql(link: IdentifierLink, value: str) -> str:
    """SQL for an identifier's JSON text."""
    return f"concat({literal(link.before)}, to_json({value})::VARCHAR, {literal(link.after)})"


def _reason_sql(plan: MappingPlan) -> str:
    cases = []
    if plan.objectives:
        objectives = ", ".join(literal(objective) for objective in plan.objectives)
        cases.append(f"WHEN NOT list_has_any(coalesce(consented, []), [{objectives}]) THEN 'no_consent'")
    for n, link in enumerate(plan.identifiers):
        if link.is_list:
            cases.append(f"WHEN {has_several_sql(link.column, link.normal)} THEN 'several_identifiers'")
        cases.append(f"WHEN link{n} IS NOT NULL THEN CASE WHEN normal{n} IS NULL THEN 'bad_identifier' END")
    reason = f"CASE {' '.join(cases)} ELSE 'no_identifier' END"
    return reason if plan.matching is None else f"coalesce({reason}, {unmatched_sql(plan.matching)})"
