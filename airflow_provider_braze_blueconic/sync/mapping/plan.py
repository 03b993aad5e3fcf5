"""What mapping needs to know of a goal."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.values.rules import ValueRule

__all__ = ["IdentifierLink", "MappedField", "MappingPlan", "MatchLink", "Matching"]


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
    :param is_email: ``normal`` is made by :func:`~airflow_provider_braze_blueconic.sync.values.emails.braze_email_sql`.
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
