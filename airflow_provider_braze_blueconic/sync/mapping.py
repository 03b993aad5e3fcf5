"""From a snapshot to the mapped snapshot: one row a person, one column a target field, values as JSON texts.

A mapped value is the JSON text that the target will get, ``null`` to clear the field, or SQL NULL to say nothing.
A person without a usable identifier is skipped with a reason; of a person who occurs twice the latest modified
record counts; a value that the target would not store is left out with a reason, and the rest of the person goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.columns import field_column
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.emails import load_ascii_domains
from airflow_provider_braze_blueconic.sync.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.space import SPACE_CLASS, edge_space_sql, trim_sql
from airflow_provider_braze_blueconic.sync.values import CLEAR, ValueRule, unpacked_sql

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "IdentifierLink",
    "MappedCounts",
    "MappedField",
    "MappingPlan",
    "MatchLink",
    "Matching",
    "map_snapshot",
    "map_text",
    "withheld_sql",
]


_ROWS_PER_INSERT = 50_000
"""Of a vocabulary, at a time: DuckDB keeps a copy of what it is handed."""


@dataclass(frozen=True)
class MappedField:
    """Where one target field's value comes from and how it is written.

    :param target: target field.
    :param column: snapshot column, quoted by the one who plans; empty for a constant.
    :param is_list: the column is a list of texts.
    :param rule: how the value is written.
    :param constant: JSON text of a static value; then column and rule are not used.
    :param joined: a list goes as one text, its values joined by commas.
    :param clearable: the target can be without a value; else a missing value says nothing, whatever the goal wishes.
    :param withheld_from: how the identifiers begin of people for whom nothing is ever said of this field.
    :param unpacks: where the target wants a list, one text that is a JSON list stands for the values in it.
    """

    target: str
    column: str = ""
    is_list: bool = True
    rule: ValueRule | None = None
    constant: str | None = None
    joined: bool = False
    clearable: bool = True
    withheld_from: tuple[str, ...] = ()
    unpacks: bool = False


@dataclass(frozen=True)
class IdentifierLink:
    """How a person is found in the target.

    :param column: snapshot column, quoted by the one who plans.
    :param is_list: the column is a list of texts.
    :param before: JSON text before the value, such as ``{"external_id":``.
    :param after: JSON text after the value.
    :param normal: SQL with ``{v}`` for the identifier in the target's form, NULL where it can't be one.
    :param is_email: ``normal`` is made by :func:`~airflow_provider_braze_blueconic.sync.emails.braze_email_sql`.
    """

    column: str
    before: str
    after: str
    is_list: bool = True
    normal: str = "{v}"
    is_email: bool = False


@dataclass(frozen=True)
class MatchLink:
    """One property by whose value the target finds a person.

    :param column: snapshot column, a list of texts, quoted by the one who plans.
    :param target: the property that holds the same.
    :param normal: SQL with ``{v}`` for the value in the target's form, NULL where it can't be one.
    """

    column: str
    target: str
    normal: str = "{v}"


@dataclass(frozen=True)
class Matching:
    """By what the target finds a person, where that is not the identifier itself.

    It travels beside the fields, as the JSON text that the target will get: a list of alternatives, each a list of
    conditions that hold together.

    :param links: by which a person is found.
    :param every: all of them have to agree; else each is an alternative.
    """

    links: tuple[MatchLink, ...]
    every: bool


@dataclass(frozen=True)
class MappingPlan:
    """Everything that mapping needs to know of a goal.

    :param identifiers: links in order of preference; the first with a value identifies the person.
    :param fields: target fields; no two with one target.
    :param clear_missing: a field without a value is cleared in the target instead of left alone.
    :param objectives: only people who consented to one of these; empty for everybody.
    :param partitions: number of partitions of the ledger.
    :param matching: how the target finds a person; ``None`` where the identifier tells.
    """

    identifiers: tuple[IdentifierLink, ...]
    fields: tuple[MappedField, ...]
    clear_missing: bool
    objectives: tuple[str, ...]
    partitions: int
    matching: Matching | None = None

    @property
    def tells_identities(self) -> bool:
        """A person may be known by more than the identifier by which they are sent."""
        return len(self.identifiers) > 1


@dataclass(frozen=True)
class MappedCounts:
    """What mapping did.

    :param people: rows of the mapped snapshot.
    :param skipped: reason → records that were not mapped.
    :param warnings: (target field, reason) → people whose value was left out or cut down.
    """

    people: int
    skipped: Mapping[str, int]
    warnings: Mapping[tuple[str, str], int]


def map_snapshot(engine: Engine, parts: Sequence[Path], plan: MappingPlan, folder: Path) -> MappedCounts:
    """Write the mapped snapshot of a goal.

    :param parts: snapshot files: ``row``, ``profile_id``, ``as_of``, ``last_modified``, ``consented``, and the
        columns that the plan names.
    :param folder: gets ``partition=<p>/*.parquet`` (``row``, ``identifier``, ``as_of``, ``last_modified``,
        ``warnings``, ``matching`` where the plan has one, one ``field_…`` column a target field),
        ``skipped.parquet`` (``row``, ``identifier``, ``reason``; each of several identifiers on a line of its own), and
        where there are several links ``identities/records.parquet``: of every record that was read, mapped or skipped,
        ``identifiers`` (all of them, over all links and values), ``sent_as`` (the one by which the person is sent; NULL
        if the person is skipped) and ``as_of``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connect(engine) as connection:
        # Parts of one snapshot may differ: an attribute that few people have first shows in a late part.
        source = parquet_source(parts, union_by_name=True)
        _load_domains(connection, source, plan)
        skipped = _identify(connection, source, plan, folder)
        joins = _create_lookups(connection, source, plan.fields)
        _write_mapped(connection, source, plan, joins, folder)
        people, warnings = _count(connection, plan, folder)
    return MappedCounts(people=people, skipped=skipped, warnings=warnings)


def _load_domains(connection: duckdb.DuckDBPyConnection, source: str, plan: MappingPlan) -> None:
    columns = [(link.column, link.is_list) for link in plan.identifiers if link.is_email]
    columns += [(field.column, field.is_list) for field in plan.fields if field.rule and field.rule.is_email]
    load_ascii_domains(
        connection, source, [f"unnest({_texts(name)})" if is_list else trim_sql(name) for name, is_list in columns]
    )


def _identify(connection: duckdb.DuckDBPyConnection, source: str, plan: MappingPlan, folder: Path) -> Mapping[str, int]:
    """Find out who is skipped and why, and leave the rows in the table ``skipped``.

    Records of one person are rare, so the window that ranks them runs over the doubles alone.
    """
    known = f", as_of, {_all_identifiers_sql(plan)} AS known" if plan.tells_identities else ""
    connection.execute(
        f"""
        CREATE TEMP TABLE identity AS
        SELECT row, profile_id, last_modified, {_identifier_sql(plan)} AS identifier, {_reason_sql(plan)} AS reason,
            {_several_identifiers_sql(plan)} AS identifiers{known}
        FROM {source}
        """
    )
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
    if plan.tells_identities:
        _write_identities(connection, folder / "identities")
    connection.execute("DROP TABLE identity")
    path = literal(str(folder / "skipped.parquet"))
    # Of a record with several identifiers it is not known who it is, so none of them may count as gone.
    listed = "SELECT row, unnest(coalesce(identifiers, [identifier])) AS identifier, reason FROM skipped"
    connection.execute(f"COPY ({listed}) TO {path} (FORMAT parquet)")
    rows = connection.execute("SELECT reason, count(*) FROM skipped GROUP BY reason ORDER BY reason").fetchall()
    return dict(rows)


def _write_identities(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write who every record is. An older record of a person who occurs twice is that person too."""
    folder.mkdir()
    path = literal(str(folder / "records.parquet"))
    records = (
        "SELECT CASE WHEN reason IS NULL THEN identifier END AS sent_as, known AS identifiers, as_of "
        "FROM identity WHERE len(known) > 0"
    )
    connection.execute(f"COPY ({records}) TO {path} (FORMAT parquet, COMPRESSION lz4_raw)")


def _texts(column: str) -> str:
    """SQL for the texts of a list without space at their edges, and without those of which nothing is left."""
    text = f"CASE WHEN {edge_space_sql('x')} THEN {trim_sql('x')} ELSE x END"
    return f"[t FOR t IN [{text} FOR x IN {column}] IF t <> '']"


def _first(column: str, is_list: bool) -> str:
    """SQL for the first text of which something is left without the space at its edges; NULL if there is none.

    With 20 fields trimming was half of the mapping, so a text is only trimmed where its ends ask for it. Nor are lists
    of several texts usual, so only they are rebuilt.
    """
    value = f"{column}[1]" if is_list else column
    several = f"WHEN len({column}) > 1 THEN {_texts(column)}[1] " if is_list else ""
    return f"CASE WHEN NOT {edge_space_sql(value)} THEN {value} {several}ELSE nullif({trim_sql(value)}, '') END"


def _has_several(column: str, normal: str = "{v}") -> str:
    """SQL that tells whether a list holds more than one value, written in a normal form."""
    spellings = f"[{normal.replace('{v}', 't')} FOR t IN {_texts(column)}]"
    return f"CASE WHEN len({column}) > 1 THEN len(list_distinct({spellings})) > 1 ELSE FALSE END"


def _identifier_sql(plan: MappingPlan) -> str:
    cases = []
    for link in plan.identifiers:
        value = _first(link.column, link.is_list)
        normal = link.normal.replace("{v}", f"({value})")
        text = _text_sql(link, normal)
        cases.append(f"WHEN ({value}) IS NOT NULL THEN CASE WHEN ({normal}) IS NOT NULL THEN {text} END")
    return f"CASE {' '.join(cases)} END"


def _several_identifiers_sql(plan: MappingPlan) -> str:
    """SQL for the identifiers of a record whose first link with a value has several; NULL where none of them is one."""
    cases = ["WHEN FALSE THEN NULL::VARCHAR[]"]
    for link in plan.identifiers:
        if link.is_list:
            normals = f"[{link.normal.replace('{v}', 't')} FOR t IN {_texts(link.column)}]"
            several = f"[{_text_sql(link, 'n')} FOR n IN list_distinct({normals})]"
            # Also where one of them alone is usable: the person may be in the ledger under it.
            cases.append(f"WHEN {_has_several(link.column)} THEN nullif({several}, [])")
        cases.append(f"WHEN ({_first(link.column, link.is_list)}) IS NOT NULL THEN NULL")
    return f"CASE {' '.join(cases)} END"


def _all_identifiers_sql(plan: MappingPlan) -> str:
    """SQL for every identifier of a record: of all links, and of all values where one has several."""
    lists = []
    for link in plan.identifiers:
        normal = link.normal.replace("{v}", f"({_first(link.column, link.is_list)})")
        found = f"CASE WHEN ({normal}) IS NOT NULL THEN [{_text_sql(link, normal)}] ELSE [] END"
        if link.is_list:
            normals = f"[{link.normal.replace('{v}', 't')} FOR t IN {_texts(link.column)}]"
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
    for link in plan.identifiers:
        value = _first(link.column, link.is_list)
        if link.is_list:
            cases.append(f"WHEN {_has_several(link.column, link.normal)} THEN 'several_identifiers'")
        cases.append(
            f"WHEN ({value}) IS NOT NULL THEN CASE WHEN ({link.normal.replace('{v}', f'({value})')}) IS NULL "
            "THEN 'bad_identifier' END"
        )
    reason = f"CASE {' '.join(cases)} ELSE 'no_identifier' END"
    return reason if plan.matching is None else f"coalesce({reason}, {_unmatched_sql(plan.matching)})"


def _match_value(link: MatchLink) -> str:
    return link.normal.replace("{v}", f"({_first(link.column, is_list=True)})")


def _unmatched_sql(matching: Matching) -> str:
    """SQL for the reason why the target could not find a person; NULL if it can."""
    several = " OR ".join(f"({_has_several(link.column, link.normal)})" for link in matching.links)
    wanting = (" OR " if matching.every else " AND ").join(f"({_match_value(link)}) IS NULL" for link in matching.links)
    return f"CASE WHEN {several} THEN 'several_identifiers' WHEN {wanting} THEN 'no_identifier' END"


def _matching_sql(matching: Matching) -> str:
    """SQL for the JSON text by which the target finds a person."""
    conditions = []
    for link in matching.links:
        before = f'{{"id":{json.dumps(link.target)},"value":'
        conditions.append(f"({literal(before)} || to_json({_match_value(link)})::VARCHAR || '}}')")
    if matching.every:
        return f"concat('[[', concat_ws(',', {', '.join(conditions)}), ']]')"
    alternatives = ", ".join(f"('[' || {condition} || ']')" for condition in conditions)
    return f"concat('[', concat_ws(',', {alternatives}), ']')"


def _create_lookups(
    connection: duckdb.DuckDBPyConnection, source: str, fields: Sequence[MappedField]
) -> Mapping[str, str]:
    """Create the vocabulary of each field that has one; say under which relation it is found."""
    relations: dict[str, str] = {}
    for number, field in enumerate(fields):
        rule = field.rule
        if rule is None:
            continue
        if rule.lookup is not None:
            rows: list[tuple[str, str | None, str | None]] = [
                (spelling, text, None) for spelling, text in rule.lookup.texts.items()
            ]
        elif rule.check is not None:
            # One pass over distinct texts in Python, for what SQL can't bring into one form.
            value = _first(field.column, field.is_list)
            values = f"SELECT DISTINCT {value} AS value FROM {source}"
            texts = connection.execute(f"SELECT value FROM ({values}) WHERE value IS NOT NULL").fetchall()
            rows = [(text, *rule.check(text)) for (text,) in texts]
        else:
            continue
        relation = f"lookup_{number}"
        connection.execute(f"CREATE TEMP TABLE {relation} (spelling VARCHAR, text VARCHAR, reason VARCHAR)")
        for first in range(0, len(rows), _ROWS_PER_INSERT):
            columns = [list(column) for column in zip(*rows[first : first + _ROWS_PER_INSERT], strict=True)]
            listed = ", ".join("unnest(?::VARCHAR[])" for _ in columns)
            connection.execute(f"INSERT INTO {relation} SELECT {listed}", columns)
        relations[field.target] = relation
    return relations


def map_text(rule: ValueRule, text: str) -> tuple[str | None, str | None]:
    """Bring one text into the target's form, as if it stood in a snapshot: what a goal fixes is compared with that.

    :return: (JSON text, None), (None, reason), or (None, None) for a text of which nothing is left.
    """
    from tempfile import gettempdir

    field = MappedField("value", "value", rule=rule, unpacks=True)
    link = IdentifierLink("profile_id", "", "", is_list=False)
    plan = MappingPlan((link,), (field,), clear_missing=False, objectives=(), partitions=1)
    with connect(Engine(Path(gettempdir()), threads=1)) as connection:
        connection.execute(
            """
            CREATE TEMP TABLE one AS
            SELECT 0::BIGINT AS row, '-' AS profile_id, NULL::TIMESTAMPTZ AS as_of, NULL::TIMESTAMPTZ AS last_modified,
                [?::VARCHAR] AS value
            """,
            [text],
        )
        connection.execute("CREATE TEMP TABLE skipped (row BIGINT)")
        _load_domains(connection, "one", plan)
        joins = _create_lookups(connection, "one", plan.fields)
        select = f"SELECT {quote(field_column(field.target))}, warnings FROM ({_mapped_sql('one', plan, joins)})"
        found, warnings = connection.execute(select).fetchall()[0]
    return found, warnings[0].split(":", 1)[1] if warnings else None


def _write_mapped(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    plan: MappingPlan,
    lookups: Mapping[str, str],
    folder: Path,
) -> None:
    # By way of a table (which spills to disk when memory runs short): picking the partitions out of it takes half the
    # time of DuckDB's own PARTITION_BY.
    connection.execute(f"CREATE TEMP TABLE mapped AS {_mapped_sql(source, plan, lookups)}")
    for partition in range(plan.partitions):
        path = folder / f"partition={partition}" / "mapped.parquet"
        path.parent.mkdir()
        picked = f"SELECT * FROM mapped WHERE partition = {partition:d}"
        connection.execute(f"COPY ({picked}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION lz4_raw)")
    connection.execute("DROP TABLE mapped")


def _mapped_sql(source: str, plan: MappingPlan, lookups: Mapping[str, str]) -> str:
    """SQL for the mapped snapshot, with the partition of each person."""
    sources, joins, texts, outputs, flags, warnings = [], [], [], [], [], []
    for number, field in enumerate(plan.fields):
        column = quote(field_column(field.target))
        if field.constant is not None:
            outputs.append(f"{_unless_withheld(field, literal(field.constant))} AS {column}")
            continue
        rule = field.rule
        if rule is None:
            raise ValueError(f"{field.target} has neither a rule nor a constant")
        sources.append(f"{_unless_withheld(field, _source_value(field, rule))} AS v{number}")
        relation = lookups.get(field.target)
        text = rule.text.replace("{v}", f"v{number}")
        if relation:
            key = "{v}" if rule.check else rule.lookup_key
            joins.append(f"LEFT JOIN {relation} ON {relation}.spelling = {key.replace('{v}', f'v{number}')}")
            text = text.replace("{lookup}", f"{relation}.text")
            texts.append(f"{relation}.reason AS r{number}")
        texts.append(f"{text} AS t{number}")
        missing = literal(CLEAR) if plan.clear_missing and field.clearable else "NULL"
        written = f"CASE WHEN v{number} IS NULL THEN {missing} ELSE t{number} END"
        outputs.append(f"{_unless_withheld(field, written)} AS {column}")
        refused = f"(v{number} IS NOT NULL AND t{number} IS NULL)"
        flags.append(refused)
        warnings.append(f"CASE WHEN {refused} THEN {_warning_sql(number, rule, is_looked_up=bool(relation))} END")
        for word, condition in rule.doubts:
            doubted = f"(t{number} IS NOT NULL AND {condition.replace('{v}', f'v{number}')})"
            flags.append(doubted)
            warnings.append(f"CASE WHEN {doubted} THEN '{number}:{word}' END")
        if field.is_list and not rule.takes_list and not field.joined:
            sources.append(f"{_unless_withheld(field, _has_several(field.column))} AS s{number}")
            flags.append(f"s{number}")
            warnings.append(f"CASE WHEN s{number} THEN '{number}:several_values_first_sent' END")
    warned = (
        f"CASE WHEN {' OR '.join(flags)} THEN [w FOR w IN [{', '.join(warnings)}] IF w IS NOT NULL] END"
        if flags
        else "NULL::VARCHAR[]"
    )
    base = ["row", "as_of", "last_modified", f"{_identifier_sql(plan)} AS identifier"]
    carried = ["row", "identifier", "as_of", "last_modified"]
    if plan.matching is not None:
        base.append(f"{_matching_sql(plan.matching)} AS matching")
        carried.append("matching")
    return f"""
        WITH source AS (
            SELECT {", ".join([*base, *sources])} FROM {source}
        ), typed AS (
            SELECT source.*{"".join(f", {text}" for text in texts)} FROM source {" ".join(joins)}
            WHERE row NOT IN (SELECT row FROM skipped)
        )
        SELECT {partition_sql("identifier", plan.partitions)} AS partition, {", ".join(carried)},
            {", ".join([f"{warned} AS warnings", *outputs])}
        FROM typed
        """


def withheld_sql(beginnings: Sequence[str]) -> str:
    """SQL that tells whether a person's ``identifier`` begins so that nothing is ever said of a field."""
    return f"({' OR '.join(f'starts_with(identifier, {literal(text)})' for text in beginnings) or 'FALSE'})"


def _unless_withheld(field: MappedField, value: str) -> str:
    """SQL for a value of the people for whom something may be said of the field; NULL for the others."""
    return f"CASE WHEN NOT {withheld_sql(field.withheld_from)} THEN {value} END" if field.withheld_from else value


def _source_value(field: MappedField, rule: ValueRule) -> str:
    if not field.is_list:
        value = _first(field.column, is_list=False)
        return f"CASE WHEN {value} IS NOT NULL THEN [{value}] END" if rule.takes_list else value
    if not rule.takes_list and not field.joined:
        return _first(field.column, is_list=True)
    if field.unpacks and rule.takes_list:
        return _unpacked(field.column)
    if field.joined:
        return f"nullif(array_to_string(list_sort(list_distinct({_texts(field.column)})), ','), '')"
    return _clean_list(field.column)


def _unpacked(column: str) -> str:
    """SQL for a list, clean; of one text that is a JSON list of single values, for those."""
    inner = unpacked_sql(trim_sql(f"{column}[1]"))
    maybe = f"len({column}) = 1 AND contains({column}[1], '[')"
    texts = _texts(inner)
    unpacked = f"CASE WHEN ({inner}) IS NULL THEN {_clean_list(column)} WHEN len({texts}) > 0 THEN {texts} END"
    return f"CASE WHEN {maybe} THEN {unpacked} ELSE {_clean_list(column)} END"


def _clean_list(column: str) -> str:
    """SQL for a list without space at the edges of its texts and without empty ones; NULL if nothing is left.

    Rebuilding a list takes three times as long as writing it as JSON, and in the JSON text an edge is a quotation mark:
    beside it there is a space, another mark, or (of control characters) a backslash only where something is to be done.
    """
    written = f"to_json({column})::VARCHAR"
    suspicious = (' "', '" ', '""', "\\", "null")
    dirty = " OR ".join(f"contains({written}, {literal(text)})" for text in suspicious)
    edges = f'"[{SPACE_CLASS}]|[{SPACE_CLASS}]"'
    dirty += f" OR (strlen({written}) <> length({written}) AND regexp_matches({written}, {literal(edges)}))"
    texts = _texts(column)
    return (
        f"CASE WHEN coalesce(len({column}), 0) = 0 THEN NULL "
        f"WHEN {dirty} THEN CASE WHEN len({texts}) > 0 THEN {texts} END ELSE {column} END"
    )


def _warning_sql(number: int, rule: ValueRule, *, is_looked_up: bool) -> str:
    cases = " ".join(
        f"WHEN {condition.replace('{v}', f'v{number}')} THEN {literal(reason)}" for reason, condition in rule.reasons
    )
    found = f"r{number}, " if is_looked_up else ""
    return f"concat('{number}:', coalesce({found}CASE {cases} END))"


def _count(
    connection: duckdb.DuckDBPyConnection, plan: MappingPlan, folder: Path
) -> tuple[int, Mapping[tuple[str, str], int]]:
    files = sorted(folder.glob("partition=*/*.parquet"))
    if not files:
        return 0, {}
    mapped = parquet_source(files)
    people = connection.execute(f"SELECT count(*) FROM {mapped}").fetchall()[0][0]
    rows = connection.execute(
        f"SELECT w, count(*) FROM (SELECT unnest(warnings) AS w FROM {mapped} WHERE warnings IS NOT NULL) GROUP BY w"
    ).fetchall()
    counted: dict[tuple[str, str], int] = {}
    for code, count in rows:
        number, reason = code.split(":", 1)
        counted[plan.fields[int(number)].target, reason] = count
    return people, dict(sorted(counted.items()))
