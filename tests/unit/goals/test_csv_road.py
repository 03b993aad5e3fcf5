"""The keys of goals that read or deliver CSV files."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from airflow_provider_braze_blueconic.goals.export_source import CsvSource
from airflow_provider_braze_blueconic.goals.import_goal import CsvDelivery, ImportGoal
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier, RemainingFields
from airflow_provider_braze_blueconic.goals.segment_export import ImportSource

from .conftest import EXPORT, IMPORT

Problems = Callable[[str], list[str]]

CHARACTER = "expected one character that is neither a quotation mark nor a line break"
SEPARATOR = "expected up to ten characters without quotation marks and line breaks"


def csv_export(*keys: str, more: str = "") -> str:
    source = ", ".join(["s3_csv: s3://bucket/path/*.csv", *keys])
    return EXPORT.replace("source: {segment: VIP customers}", f"source: {{{source}}}") + more


def csv_import(*keys: str, more: str = "") -> str:
    return f"{IMPORT}deliver: {{{', '.join(['s3_csv: s3://bucket/path/', *keys])}}}\n{more}"


def test_source_has_plain_defaults() -> None:
    source = CsvSource(s3_csv="s3://bucket/path/*.csv")

    assert source.model_dump() == {
        "s3_csv": "s3://bucket/path/*.csv",
        "delimiter": ",",
        "multi_value_separator": None,
        "done": False,
        "required": False,
        "broken_percent": 1.0,
        "aws": None,
    }


def test_delivery_has_plain_defaults() -> None:
    delivery = CsvDelivery(s3_csv="s3://bucket/path/")

    assert delivery.model_dump() == {
        "s3_csv": "s3://bucket/path",
        "delimiter": ",",
        "multi_value_separator": "|",
        "gzip": False,
        "aws": None,
    }


@pytest.mark.parametrize(
    "keys",
    [
        ['delimiter: "\\t"', 'multi_value_separator: "::"'],
        ['delimiter: ";"', "done: true", "required: true", "broken_percent: 0", "aws: aws_of_blueconic"],
    ],
)
def test_source_can_have(problems: Problems, keys: list[str]) -> None:
    assert problems(csv_export(*keys)) == []


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ('delimiter: ",,"', f'4 source.delimiter: {CHARACTER}; found ",,".'),
        ("delimiter: '\"'", f"4 source.delimiter: {CHARACTER}; found \"\"\"."),
        ('delimiter: "\\n"', f'4 source.delimiter: {CHARACTER}; found "".'),
        ('multi_value_separator: ""', f'4 source.multi_value_separator: {SEPARATOR}; found "".'),
        ("done: maybe", '4 source.done: expected true or false; found "maybe".'),
        ("broken_percent: 101", "4 source.broken_percent: expected at most 100; found 101."),
        ("gzip: true", "4 source.gzip: there is no such key here. Possible: s3_csv, delimiter, multi_value_separator, done, "
         "required, broken_percent, aws."),
    ],
)  # fmt: skip
def test_source_can_not_have(problems: Problems, key: str, problem: str) -> None:
    assert problems(csv_export(key)) == [problem]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("s3://bucket/%Y-%m.csv", "a date needs %Y, %m and %d; %d is missing"),
        ("s3://bucket/%y%m%d.csv", '"%y" isn\'t a part of a date'),
        ("s3://bucket/", 'expected files in a bucket, such as "s3://bucket/path/*.csv"'),
    ],
)
def test_pattern_that_can_not_be_read_says_why(problems: Problems, pattern: str, problem: str) -> None:
    (found,) = problems(csv_export().replace("s3://bucket/path/*.csv", f'"{pattern}"'))

    assert found.startswith(f"4 source.s3_csv: {problem}")


def test_pattern_with_a_date_is_taken(problems: Problems) -> None:
    dated = csv_export().replace("s3://bucket/path/*.csv", '"s3://bucket/%Y/people_%Y-%m-%dT%H*.csv*"')

    assert problems(dated) == []


@pytest.mark.parametrize("leavers", ["clear_fields", "{set: {vip: false}}"])
def test_file_of_changes_tells_no_leavers(problems: Problems, leavers: str) -> None:
    assert problems(csv_export(more=f"leavers: {leavers}\n")) == [
        '10 leavers: a CSV file of changes doesn\'t show who left. Use "keep", or read the segment. See '
        "source.s3_csv, line 4."
    ]


def test_file_has_no_profile_id_of_its_own(problems: Problems) -> None:
    assert problems(csv_export().replace("blueconic: crm_id", "blueconic: profile_id")) == [
        "6 identifiers[0].blueconic: a CSV file has columns only: write the name of the column that holds it, other "
        'than "profile_id". See source.s3_csv, line 4.'
    ]


def test_column_may_have_a_name_that_no_property_has(problems: Problems) -> None:
    assert problems(csv_export().replace("property.firstname", "property.First name")) == []


@pytest.mark.parametrize("keys", [[], ["gzip: true", "multi_value_separator: null"], ['delimiter: ";"', "aws: other"]])
def test_delivery_can_have(problems: Problems, keys: list[str]) -> None:
    assert problems(csv_import(*keys)) == []


@pytest.mark.parametrize(
    ("more", "key", "what"),
    [
        ("allow_creation: true", "allow_creation", "whether profiles are created"),
        ("legislation: GDPR", "legislation", "the legislation of created profiles"),
        ("domain_group: shop", "domain_group", "the domain group"),
        ("trigger_on_change: true", "trigger_on_change", "what is triggered"),
        ("objectives: [newsletter]", "objectives", "whose consent is asked for"),
    ],
)
def test_delivery_can_not_ask_for_what_only_the_api_does(problems: Problems, more: str, key: str, what: str) -> None:
    assert problems(csv_import(more=f"{more}\n")) == [
        f"10 {key}: the BlueConic connection that reads the files decides {what}. Set it there, and leave it out "
        "here. See deliver.s3_csv, line 9."
    ]


SAME_COLUMNS = (
    "remaining_fields: would change the columns of the file whenever Braze has a new field, but BlueConic needs "
    'the same columns in every file. Name the fields in "fields". See deliver.s3_csv, line'
)


@pytest.mark.parametrize("remaining", ["{}", "{prefix: braze_, create_properties: true}"])
def test_delivery_has_the_same_columns_in_every_file(problems: Problems, remaining: str) -> None:
    assert problems(csv_import(more=f"remaining_fields: {remaining}\n")) == [f"10 {SAME_COLUMNS} 9."]


def test_delivery_of_remaining_fields_alone_is_one_mistake(problems: Problems) -> None:
    head, _, rest = csv_import(more="remaining_fields: {}\n").partition(
        "fields:\n  - {from: first_name, to: firstname}\n"
    )

    assert problems(head + rest) == [f"8 {SAME_COLUMNS} 7."]


def test_delivery_made_in_python_has_the_same_columns_in_every_file() -> None:
    with pytest.raises(ValidationError, match="remaining_fields: would change the columns of the file"):
        ImportGoal(
            id="back",
            staging="s3://bucket/folder",
            source=ImportSource(segment="A", export="s3://exports"),
            identifiers=(ImportIdentifier(braze="external_id", blueconic="crm_id"),),
            fields=(ImportField(from_="email", to="email"),),
            remaining_fields=RemainingFields(),
            deliver=CsvDelivery(s3_csv="s3://bucket/in"),
        )


def test_files_can_not_be_compared_with_what_braze_holds(problems: Problems) -> None:
    assert problems(csv_export(more="reconcile: {segment: All users, export: s3://acme-exports}\n")) == [
        "10 reconcile: needs the whole segment for the comparison, and files contain only some people. Leave it "
        "out. See source.s3_csv, line 4."
    ]
