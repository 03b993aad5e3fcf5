"""One row of an import goal: an identifier link, a field, or all the fields that no row names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from airflow_provider_braze_blueconic.goals.identifiers import check_identifier, import_identifier_problem
from airflow_provider_braze_blueconic.goals.import_checks import check_import_field
from airflow_provider_braze_blueconic.goals.part import Part, raise_findings, written_keys
from airflow_provider_braze_blueconic.goals.sources import import_source_problem
from airflow_provider_braze_blueconic.goals.words import DateFormat, Flag, Line, PropertyId, pattern, refused_by, unique

__all__ = ["ImportField", "ImportIdentifier", "RemainingFields"]


class ImportIdentifier(Part):
    """One identifier link: a field of the Braze user and the BlueConic property that holds the same."""

    braze: str = Field(
        description="`external_id`, `braze_id`, `email`, `phone`, `user_alias` or `custom_attributes.<name>`."
    )
    blueconic: PropertyId = Field(description="Id of the BlueConic property, which must be a unique identifier there.")
    alias_label: Line | None = Field(default=None, description="Label of the alias; only with `braze: user_alias`.")

    _known = field_validator("braze")(refused_by(import_identifier_problem))

    @model_validator(mode="after")
    def _whole(self) -> ImportIdentifier:
        raise_findings(check_identifier(self.model_dump(by_alias=True)))
        return self


class ImportField(Part):
    """One field: where a value comes from, the BlueConic property that it goes to, and how it is merged."""

    from_: str = Field(
        alias="from",
        description=(
            "A field of the user in the segment export: `email`, `custom_attributes.<name>`, a part of one "
            "(`custom_attributes.address.city`, `devices.model`), or one element of a list "
            "(`purchases[name=sku1].count`, `custom_events[name=x].last`, `last_coordinates[0]`). "
            "`campaigns_received` alone gives the names of the campaigns. Write a name with a dot as "
            '`custom_attributes["a.b"]`.'
        ),
    )
    to: PropertyId = Field(description="Id of the BlueConic property.")
    merge: Literal["set", "add", "sum", "set_if_empty", "set_or_clear", "remove"] = Field(
        default="set",
        description=(
            "`set` replaces the value (an empty source changes nothing), `add` adds to the list of values, `sum` "
            "adds to the number, `set_if_empty` fills only an empty property, `set_or_clear` replaces the value "
            "or, if the source is empty, clears it, `remove` removes values from the list."
        ),
    )
    of: Literal["value", "increase"] | None = Field(
        default=None,
        description=(
            "What `sum` adds: the whole `value` in every run in which it changed, or only its `increase` since the "
            "last acknowledged value (the whole value the first time). Required with `sum`."
        ),
    )
    date_format: DateFormat | None = Field(
        default=None,
        description=(
            "The format of the field's dates, in the notation of Python's `strptime`: `%d/%m/%Y`; for properties "
            "that hold dates or times. By default, ISO 8601, numbers since 1970 and `MM/DD/YYYY` are read."
        ),
    )

    _known_source = field_validator("from_")(refused_by(import_source_problem))

    @model_validator(mode="after")
    def _whole(self) -> ImportField:
        raise_findings(check_import_field(written_keys(self)))
        return self


class RemainingFields(Part):
    """What happens to the fields of the Braze user that no row of `fields` names."""

    merge: Literal["set", "add", "set_if_empty", "set_or_clear"] = Field(
        default="set", description="How to merge each of them."
    )
    prefix: Annotated[str, *pattern(r"^[A-Za-z0-9_-]*$", 'letters, digits, "_" and "-"')] = Field(
        default="", description="Text to put before the name of each property."
    )
    create_properties: Flag = Field(
        default=False, description="Whether to create properties that BlueConic doesn't have."
    )
    exclude: Annotated[tuple[str, ...], AfterValidator(unique)] = Field(
        default=(),
        description="Fields to leave out, in the notation of `from`: `custom_attributes.<name>`, `devices`.",
    )

    _known = field_validator("exclude")(
        refused_by(lambda paths: next(filter(None, map(import_source_problem, paths)), None))
    )
