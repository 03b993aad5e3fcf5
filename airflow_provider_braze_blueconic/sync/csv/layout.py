"""The layout of a delivered CSV file: its columns, and the line of each person.

A line of column names, then a row a person: first the properties by which BlueConic finds the person, then the target
fields in the goal's order; the same columns in every file, so that one goal of BlueConic's connection reads them all.

An empty cell says nothing, or clears where that connection is told so (``set_or_clear``): the file has no third form.
So a person of whom a clearing field can't be said is left out, and not cleared by accident.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_braze_blueconic.sync.csv.format import CsvFormat
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, increase_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.mapping.matching import conditions_sql

__all__ = ["FileLayout"]

_WOULD_CLEAR = ": the file can't hold its value, and an empty cell would clear it"


@dataclass(frozen=True)
class FileLayout:
    """What stands in a delivered file.

    :param links: properties by which BlueConic finds a person.
    :param targets: target field → merge strategy, in the goal's order.
    :param format: how it is written.
    """

    links: Sequence[str]
    targets: Mapping[str, str]
    format: CsvFormat

    def header(self) -> str:
        """Return the line of column names."""
        return self.format.delimiter.join(self.format.cell(each.name) for each in self._properties)

    def rows_sql(self, source: str, columns: Collection[str]) -> str:
        """SQL for the lines of the people of a delta.

        Columns: ``identifier``, ``line``, ``left_out`` (targets), ``why`` (target and reason), ``refusal`` (why the
        whole person is left out), ``adds`` (something is added to a number).

        :param columns: those of the source.
        """
        every = self._properties
        values = [f"{each.values_sql(columns)} AS {each.values}" for each in every]
        faults = [f"{self.format.fault_sql(each.values)} AS {each.fault}" for each in every]
        cells = [f"{each.joined_sql(self.format)} AS {each.cell}" for each in every]
        line = f" || {literal(self.format.delimiter)} || ".join(self.format.cell_sql(each.cell) for each in every)
        fields = [each for each in every if not each.is_link]
        refusals = [sql for each in every if (sql := each.refusal_sql(columns))]
        # Which reason counts where there are several does not matter: one keeps the person out.
        return f"""
            SELECT identifier, {line} AS line,
                {_listed_sql([each.left_out_sql() for each in fields])} AS left_out,
                {_listed_sql([each.reason_sql() for each in fields])} AS why,
                coalesce({", ".join([*refusals, "NULL::VARCHAR"])}) AS refusal,
                {" OR ".join(["FALSE", *(f"{each.values} IS NOT NULL" for each in fields if each.is_added)])} AS adds
            FROM (
                SELECT *, {", ".join(cells)} FROM (
                    SELECT *, {", ".join(faults)} FROM (SELECT *, {", ".join(values)} FROM {source})
                )
            )
            """

    @cached_property
    def _properties(self) -> Sequence[_Property]:
        """The columns of the file. A property that is both stands once, as the link that finds the person."""
        names = dict.fromkeys((*self.links, *self.targets))
        return [
            _Property(number, name, name in self.links, self.targets.get(name)) for number, name in enumerate(names)
        ]


@dataclass(frozen=True)
class _Property:
    """One column of the file, as SQL over ``values`` (a list of texts), ``fault`` and ``cell``.

    :param is_link: the person is found by it.
    :param merge: merge strategy; ``None`` for a link.
    """

    number: int
    name: str
    is_link: bool
    merge: str | None

    @property
    def values(self) -> str:
        return f"v{self.number}"

    @property
    def fault(self) -> str:
        return f"f{self.number}"

    @property
    def cell(self) -> str:
        return f"c{self.number}"

    @property
    def is_added(self) -> bool:
        return self.merge == "sum"

    @property
    def column(self) -> str:
        """Column of the delta."""
        return (increase_column if self.is_added else field_column)(self.name)

    def values_sql(self, columns: Collection[str]) -> str:
        """SQL for the texts to write; NULL where nothing is said, and where the field is to be cleared."""
        if self.is_link:
            # What finds the person stands in the request's ``matching``.
            conditions = conditions_sql("matching")
            return f"list_sort(list_distinct([c.value FOR c IN {conditions} IF c.id = {literal(self.name)}]))"
        if self.column not in columns:
            return "NULL::VARCHAR[]"
        column = quote(self.column)
        return f"CASE WHEN {column} <> 'null' THEN {column}::JSON::VARCHAR[] END"

    def joined_sql(self, format_: CsvFormat) -> str:
        """SQL for the one text of the cell; NULL for none."""
        return f"CASE WHEN {self.fault} IS NULL THEN {format_.joined_sql(self.values)} END"

    def left_out_sql(self) -> str:
        """SQL for the field's name where its value can't be written."""
        return f"CASE WHEN {self.fault} IS NOT NULL THEN {literal(self.name)} END"

    def reason_sql(self) -> str:
        """SQL for ``<target>: <reason>`` where the value can't be written."""
        return f"{literal(self.name + ': ')} || {self.fault}"

    def refusal_sql(self, columns: Collection[str]) -> str | None:
        """SQL for why the whole person has to be left out because of this column; ``None`` if that can't be."""
        if self.is_link:
            return self.reason_sql()
        if self.merge != "set_or_clear":
            return None
        silent = "TRUE" if self.column not in columns else f"{quote(self.column)} IS NULL"
        return f"CASE WHEN {self.fault} IS NOT NULL OR {silent} THEN {literal(self.name + _WOULD_CLEAR)} END"


def _listed_sql(texts: Sequence[str]) -> str:
    """SQL for the list of those texts that are not NULL."""
    return f"[w FOR w IN [{', '.join(texts)}] IF w IS NOT NULL]" if texts else "[]::VARCHAR[]"
