"""One row of an export goal: an identifier link, or a field."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from airflow_provider_braze_blueconic.goals.export_field_checks import check_export_field
from airflow_provider_braze_blueconic.goals.identifiers import check_identifier
from airflow_provider_braze_blueconic.goals.part import Part, raise_findings, written_keys
from airflow_provider_braze_blueconic.goals.sources import export_source_problem
from airflow_provider_braze_blueconic.goals.words import DateFormat, Line, Value, refused_by
from airflow_provider_braze_blueconic.vendors.braze_attributes import FieldType
from airflow_provider_braze_blueconic.vendors.braze_names import braze_name_problem

__all__ = ["ExportField", "ExportIdentifier"]


class ExportIdentifier(Part):
    """One identifier link: a BlueConic value and the Braze identifier that holds the same."""

    blueconic: Line = Field(description="Id of the BlueConic property, or `profile_id` for the profile's own id.")
    braze: Literal["external_id", "braze_id", "email", "phone", "user_alias"] = Field(
        description="The identifier in Braze. `braze_id` finds only existing users."
    )
    alias_label: Line | None = Field(default=None, description="Label of the alias; only with `braze: user_alias`.")

    @model_validator(mode="after")
    def _whole(self) -> ExportIdentifier:
        raise_findings(check_identifier(self.model_dump(by_alias=True)))
        return self


class ExportField(Part):
    """One field: where a value comes from, and the Braze attribute that it goes to."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["from"]}, {"required": ["value"]}]},
    )

    from_: str | None = Field(
        default=None,
        alias="from",
        description=(
            "`property.<id>` (a profile property), `profile_id`, `segments` (all segments that contain the "
            "profile), `interactions` (all dialogues that the profile has seen) or `permission_level`. Either this "
            "or `value`."
        ),
    )
    value: Value = Field(
        default=None,
        description=("A fixed value for everybody, in the form in which Braze stores it. Either this or `from`."),
    )
    to: str = Field(
        description=(
            "Attribute in Braze: a standard one in Braze's own spelling, `subscription_groups.<group id>`, "
            "or any other name for a custom attribute. `email` is not sent for people who are identified by `email` or "
            "`phone`, nor `phone` for people who are identified by `phone`."
        )
    )
    type: FieldType | None = Field(
        default=None,
        description=(
            "The type of the value in Braze. By default, a standard attribute has its own type, and a custom one "
            "has the type of the BlueConic property."
        ),
    )
    as_: Literal["ids", "names"] | None = Field(
        default=None,
        alias="as",
        description=(
            "Whether `segments` or `interactions` are sent as ids or as names. By default, segments are sent as "
            "names and interactions as ids."
        ),
    )
    date_format: DateFormat | None = Field(
        default=None,
        description=(
            "The format of the property's dates, in the notation of Python's `strptime`: `%d/%m/%Y`, `%Y-%m-%d "
            "%H:%M:%S %z`. By default, ISO 8601, numbers since 1970 and `MM/DD/YYYY` are read."
        ),
    )

    _known_source = field_validator("from_")(refused_by(export_source_problem))
    _braze_name = field_validator("to")(refused_by(braze_name_problem, quoting=True))

    @model_validator(mode="after")
    def _whole(self) -> ExportField:
        raise_findings(check_export_field(written_keys(self)))
        return self

    @property
    def kind(self) -> Literal["value", "property", "profile_id", "segments", "interactions", "permission_level"]:
        """What kind of information the field sends."""
        if self.from_ is None:
            return "value"
        if self.property_id is not None:
            return "property"
        return self.from_  # type: ignore[return-value]  # _known_source lets only these words through

    @property
    def property_id(self) -> str | None:
        """The BlueConic property (or the CSV column), if the field reads one."""
        if self.from_ is None or not self.from_.startswith("property."):
            return None
        return self.from_.removeprefix("property.")

    @property
    def written_as(self) -> Literal["ids", "names"] | None:
        """How segments or interactions are written, the default included; ``None`` for other kinds."""
        if self.kind == "segments":
            return self.as_ or "names"
        if self.kind == "interactions":
            return self.as_ or "ids"
        return None
