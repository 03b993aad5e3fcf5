from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files

import pytest
from pydantic import ValidationError

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.goals.export_source import CsvSource, SegmentSource
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, RemainingFields
from airflow_provider_braze_blueconic.goals.segment_export import ImportSource

from .conftest import EXPORT, IMPORT

Problems = Callable[[str], list[str]]

ROW = "10 fields[2]"
STALE = "Any other spelling becomes a new custom attribute, which is billed, and the real field stays stale."
STRPTIME = 'Write it in the notation of strptime, such as "%d/%m/%Y" or "%Y-%m-%d %H:%M:%S %z".'
FROM = "expected property.<id>, profile_id, segments, interactions, permission_level; found"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{from: property.x, to: First_Name}", f'{ROW}.to: "First_Name" is spelled "first_name" in Braze. {STALE}'),
        ("{from: property.x, to: firstname}", f'{ROW}.to: "firstname" is spelled "first_name" in Braze. {STALE}'),
        ("{from: property.x, to: e-mail}", f'{ROW}.to: "e-mail" is spelled "email" in Braze. {STALE}'),
        ("{from: property.x, to: Time_Zone}", f'{ROW}.to: "Time_Zone" is spelled "time_zone" in Braze. {STALE}'),
        ("{from: property.x, to: timezone}", f'{ROW}.to: "timezone" is spelled "time_zone" in Braze. {STALE}'),
        ("{from: property.x, to: homeCity}", f'{ROW}.to: "homeCity" is spelled "home_city" in Braze. {STALE}'),
        (
            "{from: property.x, to: external_id}",
            f'{ROW}.to: "external_id" is an identifier in Braze. "identifiers" sets it, not a field.',
        ),
        (
            "{from: property.x, to: brazeId}",
            f'{ROW}.to: "brazeId" looks like "braze_id", which is an identifier in Braze. "identifiers" sets it, '
            "not a field.",
        ),
        (
            "{from: property.x, to: _update_existing_only}",
            f'{ROW}.to: "_update_existing_only" is a control flag of Braze, not an attribute. The sync sets it '
            "where needed.",
        ),
        (
            "{from: property.x, to: email_subscription_info}",
            f'{ROW}.to: "email_subscription_info" can\'t be written: Braze refuses it. Use "email_subscribe", '
            "or one subscription group.",
        ),
        (
            "{from: property.x, to: push_tokens}",
            f'{ROW}.to: "push_tokens" is not supported: push tokens belong to the app\'s SDK.',
        ),
        (
            "{from: property.x, to: $add}",
            f'{ROW}.to: "$add" starts with "$", which Braze reserves for its own operators.',
        ),
        (
            "{from: property.x, to: subscription_groups.abc}",
            f'{ROW}.to: "subscription_groups.abc" needs the id of one group, a UUID, after "subscription_groups.".',
        ),
        (
            "{from: property.x, to: custom_attributes.tier}",
            f'{ROW}.to: "custom_attributes.tier" has a prefix too many; name a custom attribute without it: "tier".',
        ),
        (
            "{from: property.x, to: first_name}",
            f'{ROW}.to: "first_name" is already written by another row. See fields[0], line 8.',
        ),
        (
            "{from: property.x, to: email, type: integer}",
            f'{ROW}.type: "email" is "string" in Braze; found "integer". Leave "type" out or correct it.',
        ),
        (
            "{from: segments, to: country}",
            f'{ROW}.to: "segments" gives an array; "country" holds a text in Braze.',
        ),
        (
            "{from: segments, to: seen, type: boolean}",
            f'{ROW}.type: "segments" can be "array", or "string" for one text with commas. '
            'Leave "type" out or correct it.',
        ),
        (
            "{from: property.x, to: y, date_format: dd/mm/yyyy}",
            f'{ROW}.date_format: "dd/mm/yyyy" names no part of a date. {STRPTIME}',
        ),
        (
            '{from: property.x, to: y, date_format: "%d/%m/%Q"}',
            f'{ROW}.date_format: "%d/%m/%Q" holds "%Q", which isn\'t a part of a date. {STRPTIME}',
        ),
        (
            '{from: property.x, to: dob, date_format: "%d/%m/%y"}',
            f'{ROW}.date_format: "%d/%m/%y" has a two-digit year, which leaves the century of a birthday open. '
            "Have the source write four digits.",
        ),
        (
            '{from: property.x, to: y, type: integer, date_format: "%d/%m/%Y"}',
            f'{ROW}.date_format: gives a time, but the row says "type: integer". Leave one of the two out.',
        ),
        (
            '{from: property.x, to: home_city, date_format: "%d/%m/%Y"}',
            f'{ROW}.date_format: "home_city" holds a text in Braze, not a date.',
        ),
        (
            '{from: segments, to: y, date_format: "%d/%m/%Y"}',
            f'{ROW}.date_format: is possible only with "from: property.<id>".',
        ),
        (
            '{value: "21/12/1980", to: dob, date_format: "%d/%m/%Y"}',
            f'{ROW}.date_format: is possible only with "from: property.<id>".',
        ),
        ("{from: property.x, to: y, as: ids}", f'{ROW}.as: is possible only for "segments" and "interactions".'),
        ("{from: segments, to: y, as: nmes}", f'{ROW}.as: expected "ids" or "names"; found "nmes". Nearest: "names".'),
        ("{to: y}", f'{ROW}: expected either "from" or "value"; neither is there.'),
        ("{from: property.x, value: 1, to: y}", f'{ROW}: expected either "from" or "value"; both are there.'),
        (
            "{value: null, to: y}",
            f"{ROW}.value: a fixed value can't be empty: it would clear the attribute for everybody.",
        ),
        ("{value: abc, to: y, type: integer}", f'{ROW}.value: "abc" can\'t be of type "integer".'),
        ("{value: tomorrow, to: y, type: time}", f'{ROW}.value: "tomorrow" can\'t be of type "time".'),
        ("{value: 5, to: home_city}", f'{ROW}.value: "home_city" holds text in Braze.'),
        (
            "{value: maybe, to: email_subscribe}",
            f'{ROW}.value: "email_subscribe" accepts only opted_in, subscribed, unsubscribed.',
        ),
        (
            "{value: Narnia, to: country}",
            f'{ROW}.value: "Narnia" isn\'t a country. Write its code of two letters, such as NL.',
        ),
        (
            "{value: fy, to: language}",
            f'{ROW}.value: "fy" isn\'t a language that Braze supports. Write its code, such as nl.',
        ),
        ("{value: a@gmail.com, to: email}", f'{ROW}.value: "a@gmail.com" isn\'t an e-mail address that Braze accepts.'),
        (
            "{value: Mars/Phobos, to: time_zone}",
            f'{ROW}.value: "Mars/Phobos" isn\'t a time zone. Write its IANA name, such as Europe/Amsterdam.',
        ),
        ("{value: unknown, to: gender}", f'{ROW}.value: "gender" accepts only M, F, O, N, P.'),
        (
            "{value: 3001-01-01, to: y, type: time}",
            f'{ROW}.value: "3001-01-01" isn\'t a date that Braze can store. Write it as 2026-11-30 or '
            "2026-11-30T08:00:00Z.",
        ),
        ('{value: "", to: y}', f"{ROW}.value: is empty, and empty text isn't a value. Leave the row out."),
        ('{value: "\\u200b", to: y}', f"{ROW}.value: is empty, and empty text isn't a value. Leave the row out."),
        (
            "{value: '[{\"a\": 1}]', to: y, type: array}",
            f'{ROW}.value: "[{{"a": 1}}]" is a list of objects, but an array holds single values.',
        ),
        (
            "{value: '{\"inc\": 5}', to: y, type: object}",
            f'{ROW}.value: "{{"inc": 5}}" is an operation for Braze, not a value. Rename the key.',
        ),
        ("{value: nope, to: y, type: object}", f'{ROW}.value: "nope" isn\'t a JSON object.'),
        ("{value: {inc: 5}, to: y}", f"{ROW}.value: expected a single value: text, a number, true or false."),
        (
            f"{{from: property.x, to: {'x' * 256}}}",
            f'{ROW}.to: "{"x" * 60}…" has 256 characters; Braze cuts a name off after 255.',
        ),
        (
            f"{{from: property.x, to: {'é' * 240}}}",
            f'{ROW}.to: "{"é" * 60}…" has 480 bytes in UTF-8; Braze cuts a name off after 479.',
        ),
        ("{value: .nan, to: y}", f"{ROW}.value: expected a number that JSON can hold; found nan."),
        (
            "{value: [a], to: y}",
            f"{ROW}.value: expected a single value: text, a number, true or false.",
        ),
        ("{from: propertey.points, to: y}", f'{ROW}.from: {FROM} "propertey.points". Nearest: "property.points".'),
        ("{from: segmnts, to: y}", f'{ROW}.from: {FROM} "segmnts". Nearest: "segments".'),
        ("{from: points, to: y}", f'{ROW}.from: {FROM} "points". For a profile property write "property.points".'),
        ("{from: property., to: y}", f'{ROW}.from: {FROM} "property.".'),
        (
            "{from: property.first name, to: y}",
            f'{ROW}.from: a BlueConic property id has only letters, digits, "_" and "-"; found "first name".',
        ),
        (
            "{from: property.x, to: y, type: interger}",
            f"{ROW}.type: expected one of string, integer, float, boolean, time, array, object; "
            'found "interger". Nearest: "integer".',
        ),
        ("just text", f'{ROW}: expected keys with values; found "just text".'),
    ],
)
def test_row_of_an_export_that_can_not_work_says_why(problems: Problems, row: str, problem: str) -> None:
    assert problems(f"{EXPORT}  - {row}\n") == [problem]


@pytest.mark.parametrize(
    "row",
    [
        "{from: property.birthdate, to: dob, type: time}",
        "{from: property.x, to: subscription_groups.11111111-2222-3333-4444-555555555555, type: boolean}",
        "{value: subscribed, to: subscription_groups.11111111-2222-3333-4444-555555555555}",
        "{value: true, to: email_open_tracking_disabled}",
        "{value: 7, to: agent, type: string}",
        "{value: 2026-11-30, to: since, type: time}",
        "{value: Netherlands, to: country}",
        "{value: vrouw, to: gender}",
        "{value: true, to: subscription_groups.11111111-2222-3333-4444-555555555555}",
        '{value: \'{"plan": "gold"}\', to: contract, type: object}',
        "{from: property.x, to: birthday}",
        "{from: segments, to: seen, type: string, as: ids}",
        "{from: property.x, to: Favourite Store}",
        "{from: property.address, to: current_location, type: object}",
    ],
)
def test_row_of_an_export_that_can_work_is_taken(problems: Problems, row: str) -> None:
    assert problems(f"{EXPORT}  - {row}\n") == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("vip_to_braze", "1234", ["2 id: expected text; found 1234. Put it in quotes."]),
        (
            "vip_to_braze",
            "vip/braze",
            [
                '2 id: expected letters, digits, "_" and "-", at most 100 of them, beginning with a letter, '
                'a digit or "_"; found "vip/braze".'
            ],
        ),
        ("id: vip_to_braze\n", "id: vip_to_braze\nrenamed_from: vips\n", []),
        (
            "id: vip_to_braze\n",
            "id: vip_to_braze\nrenamed_from: vip_to_braze\n",
            ["3 renamed_from: is the goal's current id; expected its previous id. See id, line 2."],
        ),
        (
            "id: vip_to_braze\n",
            "id: vip_to_braze\nrenamed_from: VIPs of old\n",
            ['3 renamed_from: expected the goal\'s old id: letters, digits, "_" and "-"; found "VIPs of old".'],
        ),
        (
            "s3://acme-sync/braze-blueconic",
            "acme-sync",
            ['3 staging: expected a bucket or a folder in one, such as "s3://bucket/folder"; found "acme-sync".'],
        ),
        (
            "staging: s3://acme-sync/braze-blueconic\n",
            "",
            [
                "1 staging: is missing. S3 bucket, or folder in it, that holds the goal's ledger, receipts and "
                "working files."
            ],
        ),
        (
            "goal: export",
            "goal: exports",
            [
                '1 goal: expected "export" (BlueConic to Braze) or "import" (Braze to BlueConic); '
                'found "exports". Nearest: "export", "import".'
            ],
        ),
        (
            "  - {blueconic: crm_id, braze: external_id}\n",
            "  - {blueconic: crm_id, braze: external_id}\n  - {blueconic: other, braze: external_id}\n",
            ['7 identifiers[1].braze: "external_id" is already linked by another row. See identifiers[0], line 6.'],
        ),
        (
            "braze: external_id",
            "braze: user_alias",
            ["6 identifiers[0].alias_label: is missing: an alias needs its name and its label."],
        ),
        (
            "braze: external_id",
            "braze: external_id, alias_label: crm",
            ['6 identifiers[0].alias_label: is possible only with "braze: user_alias".'],
        ),
        ("to: first_name", "to: email", []),
        (
            "braze: external_id}\n",
            "braze: email}\n",
            [],
        ),
        (
            "VIP customers}",
            "VIP customers, read: modified}\nleavers: clear_fields",
            [
                '5 leavers: only a read of the whole segment shows who left. Use "keep", or "read: full". See '
                "source.read, line 4."
            ],
        ),
        (
            "source: {segment: VIP customers}",
            "source: {s3_csv: s3://bucket/path/*.csv}\nobjectives: [newsletter]",
            [
                "5 objectives: a CSV file doesn't show consent. Set the objectives on the BlueConic connection "
                "that writes the file. See source.s3_csv, line 4."
            ],
        ),
        ("source: {segment: VIP customers}", 'source: {s3_csv: "s3://bucket/path/*.csv"}', []),
        ("source: {segment: VIP customers}", "source: VIP", ['4 source: expected keys with values; found "VIP".']),
    ],
)
def test_parts_of_an_export_that_contradict_each_other(
    problems: Problems, old: str, new: str, expected: list[str]
) -> None:
    assert problems(EXPORT.replace(old, new, 1)) == expected


def test_email_can_not_be_identifier_and_field(problems: Problems) -> None:
    text = EXPORT.replace("braze: external_id", "braze: email").replace("to: first_name", "to: email")

    assert problems(text) == [
        '8 fields[0].to: "email" is already written by an identifier link. See identifiers[0], line 6.'
    ]


GETS_THE_VALUES = "so somebody else would get the values. Leave it out, or identify people by something else."


def test_a_phone_link_and_a_field_email_alone_would_write_to_whoever_has_the_email(problems: Problems) -> None:
    text = EXPORT.replace("braze: external_id", "braze: phone").replace("to: first_name", "to: email")

    assert problems(text) == [
        '8 fields[0].to: "email" can\'t be written for people who are identified by "phone": Braze uses "phone" as the '
        f'identifier only where there is no "email", {GETS_THE_VALUES} See identifiers[0], line 6.'
    ]


@pytest.mark.parametrize(
    ("links", "target"),
    [
        (["external_id", "email"], "email"),
        (["email", "external_id"], "email"),
        (["external_id", "phone"], "email"),
        (["phone", "braze_id", "email"], "email"),
        (["external_id", "phone"], "phone"),
        (["email", "phone"], "phone"),
        (["email"], "phone"),
    ],
)
def test_a_field_that_identifies_some_can_go_to_the_others(problems: Problems, links: list[str], target: str) -> None:
    assert problems(_linked(links, to=target)) == []


@pytest.mark.parametrize(
    ("links", "target"), [(["phone"], "phone"), (["email", "phone"], "email"), (["phone", "email"], "email")]
)
def test_a_field_that_nobody_could_get_is_refused(problems: Problems, links: list[str], target: str) -> None:
    number = links.index(target)

    assert problems(_linked(links, to=target)) == [
        f'{6 + len(links) + 1} fields[0].to: "{target}" is already written by an identifier link. '
        f"See identifiers[{number}], line {6 + number}."
    ]


@pytest.mark.parametrize("value", ["null", "nobody@example.org"])
@pytest.mark.parametrize(
    ("links", "target", "problem"),
    [
        (["email"], "email", '"email" is already written by an identifier link. See identifiers[0], line 6.'),
        (
            ["external_id", "email"],
            "email",
            '"email" is already written by an identifier link. See identifiers[1], line 7.',
        ),
        (["phone"], "phone", '"phone" is already written by an identifier link. See identifiers[0], line 6.'),
        (
            ["external_id", "phone"],
            "email",
            '"email" can\'t be written for people who are identified by "phone": Braze uses "phone" as the identifier '
            f'only where there is no "email", {GETS_THE_VALUES} See identifiers[1], line 7.',
        ),
    ],
)
def test_what_leavers_are_set_to_can_not_be_what_some_are_identified_by(
    problems: Problems, links: list[str], target: str, problem: str, value: str
) -> None:
    text = _linked(links, to="first_name") + f"leavers:\n  set:\n    {target}: {value}\n"

    assert problems(text) == [f"{11 + len(links)} leavers.set.{target}: {problem}"]


@pytest.mark.parametrize(
    ("links", "target"), [(["external_id"], "email"), (["external_id", "email"], "phone"), (["user_alias"], "phone")]
)
def test_leavers_can_lose_an_address_that_identifies_nobody(problems: Problems, links: list[str], target: str) -> None:
    assert problems(_linked(links, to="first_name") + f"leavers: {{set: {{{target}: null}}}}\n") == []


@pytest.mark.parametrize("target", ["external_id", "braze_id", "user_alias"])
def test_leavers_can_not_be_set_to_another_identity(problems: Problems, target: str) -> None:
    (found,) = problems(EXPORT + f"leavers: {{set: {{{target}: x}}}}\n")

    assert "is an identifier in Braze" in found


@pytest.mark.parametrize("target", ["email_subscribe", "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"])
def test_a_subscription_of_leavers_can_not_be_empty(problems: Problems, target: str) -> None:
    (found,) = problems(EXPORT + f"leavers: {{set: {{{target}: null}}}}\n")

    assert found.endswith('can\'t be empty in Braze. Write "unsubscribed".')


def _linked(links: list[str], *, to: str) -> str:
    """An export with these identifiers, one a line, and one field to a target."""
    rows = [
        f"  - {{blueconic: {link}_property, braze: {link}{', alias_label: crm' if link == 'user_alias' else ''}}}\n"
        for link in links
    ]
    text = EXPORT.replace("  - {blueconic: crm_id, braze: external_id}\n", "".join(rows))
    return text.replace("to: first_name", f"to: {to}")


def test_nobody_can_be_created_by_braze_id(problems: Problems) -> None:
    text = EXPORT.replace("braze: external_id", "braze: braze_id") + "allow_creation: true\n"

    assert problems(text) == [
        "10 allow_creation: braze_id can't create people, because Braze assigns it. Use false, or another "
        "identifier. See identifiers[0], line 6."
    ]


def test_values_for_leavers_take_braze_s_form_or_are_refused(problems: Problems) -> None:
    fine = "    country: Netherlands\n    gender: vrouw\n    loyalty_points: 0\n    email_subscribe: unsubscribed\n"
    bad = "    language: fy\n    time_zone: Mars/Phobos\n    push_subscribe: null\n    tier: ''\n"
    found = problems(f"{EXPORT}leavers:\n  set:\n{fine}{bad}")

    assert found == [
        '16 leavers.set.language: "fy" isn\'t a language that Braze supports. Write its code, such as nl.',
        '17 leavers.set.time_zone: "Mars/Phobos" isn\'t a time zone. Write its IANA name, such as Europe/Amsterdam.',
        '18 leavers.set.push_subscribe: "push_subscribe" can\'t be empty in Braze. Write "unsubscribed".',
        "19 leavers.set.tier: is empty, and empty text isn't a value. Use null to clear.",
    ]


def test_values_for_leavers_are_checked_like_fields(problems: Problems) -> None:
    found = problems(EXPORT + "leavers:\n  set:\n    vip: false\n    Email: x\n    dob: 4\n    deep: {a: 1}\n")

    assert found == [
        f'13 leavers.set.Email: "Email" is spelled "email" in Braze. {STALE}',
        '14 leavers.set.dob: "dob" holds text in Braze.',
        "15 leavers.set.deep: expected a single value: text, a number, true or false.",
    ]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("partitions: 0", "partitions: expected at least 1; found 0."),
        ("partitions: 257", "partitions: expected at most 256; found 257."),
        ("partitions: 1.5", "partitions: expected a whole number; found 1.5."),
        ("enabled: yes", 'enabled: expected true or false; found "yes".'),
        ("limits: {rejected_percent: 101}", "limits.rejected_percent: expected at most 100; found 101."),
        ("limits: {data_points: 0}", "limits.data_points: expected at least 1; found 0."),
        (
            "limits: {data_points: 1_000}",
            'limits.data_points: expected a whole number; found "1_000". Write it as plain digits, without quotes.',
        ),
        ("limits: {requests_per_second: 0}", "limits.requests_per_second: expected more than 0; found 0."),
        ("upload: {workers: 33}", "upload.workers: expected at most 32; found 33."),
        ("notify: {when: allways}", 'notify.when: expected "failure" or "every_run"; found "allways".'),
        ("notify: {email: [nobody]}", 'notify.email[0]: expected one e-mail address; found "nobody".'),
        ("notify: {email: a@b.example}", 'notify.email: expected a list; found "a@b.example".'),
        ("labels: [crm, crm]", 'labels: has "crm" more than once.'),
        ("start_date: 2026-02-30", "start_date: there is no such day in the calendar."),
        ("start_date: 30-11-2026", 'start_date: expected a date, such as 2026-11-30; found "30-11-2026".'),
        (
            "timezone: Europe/Amsterdm",
            "timezone: there is no time zone of that name; expected one such as "
            '"Europe/Amsterdam". Nearest: "Europe/Amsterdam"',
        ),
        ("connections: {aws: ''}", 'connections.aws: expected an Airflow connection id; found "".'),
        ("legislation: GDPR", "legislation: is possible only in an import goal."),
        ("conections: {}", 'conections: there is no such key here. Nearest: "connections"'),
    ],
)
def test_setting_out_of_its_range_says_what_is_possible(problems: Problems, setting: str, problem: str) -> None:
    (found,) = problems(f"{EXPORT}{setting}\n")

    assert found.startswith(f"10 {problem}")


@pytest.mark.parametrize(
    ("schedule", "kept"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ("@daily", "@daily"),
        ("0 2 * * 1#1", "0 2 * * 1#1"),
        ("0 2 * * MON#1", "0 2 * * MON#1"),
        ("0 2 * * 5L", "0 2 * * L5"),
        ("0  2 1 */3 MON-FRI", "0 2 1 */3 MON-FRI"),
        ("0 2 L * *", "0 2 L * *"),
    ],
)
def test_schedule_is_kept_as_airflow_understands_it(schedule: str, kept: str) -> None:
    assert _goal(schedule=schedule).schedule == kept


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("0 25 * * *", '"25" can\'t be read as the hour.'),
        ("0 2 * * 1#6", '"1#6" can\'t be read as the weekday.'),
        ("0 2 * *", "expected five cron fields (minute hour day month weekday)"),
        ("0 0 2 * * *", "expected five cron fields (minute hour day month weekday)"),
        ("@dayly", 'Nearest: "@daily"'),
        ("@once", "expected one of @hourly"),
        ("0 2 31 2 *", "so the goal would never run"),
        ("R 2 * * *", "write a fixed time"),
        ("nightly", "expected five cron fields"),
    ],
)
def test_schedule_that_airflow_would_not_take_is_refused(schedule: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _goal(schedule=schedule)

    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "{from: total_revenue, to: revenue, merge: sum}",
            '9 fields[1].of: is missing: "sum" needs "of: increase" or "of: value".',
        ),
        (
            "{from: email, to: revenue, merge: sum, of: value}",
            '9 fields[1].merge: "sum" needs a number; "email" is a string in Braze.',
        ),
        ("{from: email, to: mail, of: value}", '9 fields[1].of: is possible only with "merge: sum".'),
        (
            "{from: custom_attributes.n, to: braze_external_id, merge: sum, of: value}",
            '9 fields[1].merge: "braze_external_id" identifies people, so "sum" can\'t add to it. See '
            "identifiers[0], line 6.",
        ),
        ("{from: e_mail, to: mail}", '9 fields[1].from: Braze exports no field "e_mail". Nearest: "email".'),
        (
            "{from: tier, to: tier}",
            '9 fields[1].from: Braze exports no field "tier". For a custom attribute write "custom_attributes.tier".',
        ),
        (
            "{from: email, to: firstname}",
            '9 fields[1].to: "firstname" is already written by another row. See fields[0], line 8.',
        ),
        (
            "{from: email, to: first name}",
            '9 fields[1].to: expected a property id of letters, digits, "_" and "-"; found "first name".',
        ),
    ],
)
def test_row_of_an_import_that_can_not_work_says_why(problems: Problems, row: str, problem: str) -> None:
    assert problems(f"{IMPORT}  - {row}\n") == [problem]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("limits: {data_points: 5}", "9 limits.data_points: is possible only in an export goal."),
        (
            "legislation: gdpr",
            '9 legislation: expected a zone that BlueConic knows; found "gdpr". Nearest: "GDPR", "UK_GDPR".',
        ),
        ("legislation: MARS", '9 legislation: expected a zone that BlueConic knows; found "MARS".'),
        ("when_missing: clear", "9 when_missing: is possible only in an export goal."),
        (
            "remaining_fields: {merge: sum}",
            '9 remaining_fields.merge: expected one of set, add, set_if_empty, set_or_clear; found "sum".',
        ),
        (
            "remaining_fields: {prefix: 'braze '}",
            '9 remaining_fields.prefix: expected letters, digits, "_" and "-"; found "braze ".',
        ),
        (
            "remaining_fields: {exclude: [tier]}",
            '9 remaining_fields.exclude: Braze exports no field "tier". '
            'For a custom attribute write "custom_attributes.tier".',
        ),
        (
            "remaining_fields: {exclude: [devices, devices]}",
            '9 remaining_fields.exclude: has "devices" more than once.',
        ),
        ("upload: {bulk: true}", "9 upload.bulk: there is no such key here. Possible: workers."),
        (
            "deliver: {s3_csv: bucket}",
            '9 deliver.s3_csv: expected a bucket or a folder in one, such as "s3://bucket/folder"; found "bucket".',
        ),
    ],
)
def test_setting_that_an_import_can_not_have_says_why(problems: Problems, setting: str, problem: str) -> None:
    assert problems(f"{IMPORT}{setting}\n") == [problem]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("poll_seconds: 0", "source.poll_seconds: expected more than 0; found 0."),
        ("poll_seconds: 3601", "source.poll_seconds: expected at most 3,600; found 3601."),
        ("wait_minutes: 0", "source.wait_minutes: expected more than 0; found 0."),
        ("wait_minutes: 1441", "source.wait_minutes: expected at most 1,440; found 1441."),
        ("quiet_seconds: 0", "source.quiet_seconds: expected more than 0; found 0."),
        ("broken_percent: 101", "source.broken_percent: expected at most 100; found 101."),
        ("broken_percent: -1", "source.broken_percent: expected at least 0; found -1."),
        ("read: modified", "source.read: there is no such key here."),
    ],
)
def test_setting_of_the_export_out_of_its_range_says_what_is_possible(
    problems: Problems, setting: str, problem: str
) -> None:
    (found,) = problems(IMPORT.replace("s3://acme-braze-exports}", f"s3://acme-braze-exports, {setting}}}"))

    assert found.startswith(f"4 {problem}")


@pytest.mark.parametrize(
    "text",
    [
        "legislation: CCPA\n",
        "remaining_fields: {exclude: [devices, custom_attributes.tier, 'custom_attributes[\"a.b\"]']}\n",
        "  - {from: custom_attributes.tags, to: tags, merge: remove}\n",
        "  - {from: 'purchases[name=sku1].count', to: bought, merge: sum, of: increase}\n",
        "  - {from: campaigns_received, to: campaigns, merge: add}\n",
    ],
)
def test_part_of_an_import_that_can_work_is_taken(problems: Problems, text: str) -> None:
    assert problems(IMPORT + text) == []


def test_import_waits_for_its_export_an_hour_at_most_unless_told_otherwise() -> None:
    source = ImportSource(segment="Test Users", export="s3://acme-braze-exports/")

    assert (source.poll_seconds, source.wait_minutes, source.quiet_seconds) == (10, 60, 60)
    assert (source.broken_percent, source.export) == (1, "s3://acme-braze-exports")


def test_remaining_fields_create_and_exclude_nothing_unless_told_to() -> None:
    remaining = RemainingFields()

    assert (remaining.merge, remaining.prefix, remaining.create_properties, remaining.exclude) == ("set", "", False, ())


def test_import_needs_fields_or_remaining_fields(problems: Problems) -> None:
    head = IMPORT.partition("fields:\n")[0]

    assert problems(head) == ['1 fields: needs at least one row, unless the goal has "remaining_fields".']
    assert problems(head + "remaining_fields: {prefix: braze_}\n") == []


@pytest.mark.parametrize("name", ["a%20b", "a/../b", "./a", "a\\b", "a\x07b", "a[b]", "a|b", "a%2Fb"])
def test_staging_that_boto_and_delta_rs_read_in_two_ways_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="Choose another one"):
        _goal(staging=f"s3://bucket/{name}")

    schema = json.loads(files("airflow_provider_braze_blueconic").joinpath("goals/goal.schema.json").read_text())
    patterns = {
        definition["properties"]["staging"]["pattern"]
        for definition in schema["$defs"].values()
        if "staging" in definition.get("properties", {})
    }
    assert [pattern for pattern in patterns if re.search(pattern, f"s3://bucket/{name}")] == []
    assert [pattern for pattern in patterns if not re.search(pattern, "s3://bucket/100%/ü/a..b")] == []


def test_goal_can_be_made_in_python() -> None:
    goal = _goal(staging="s3://bucket/folder/")

    assert goal.staging == "s3://bucket/folder"
    assert goal.source == SegmentSource(segment="VIPs")
    assert (goal.fields[0].kind, goal.fields[0].property_id) == ("property", "firstname")
    assert (goal.fields[1].kind, goal.fields[1].written_as) == ("segments", "names")
    assert (goal.fields[2].kind, goal.fields[2].written_as) == ("interactions", "ids")
    assert (goal.fields[3].kind, goal.fields[3].value) == ("value", "blueconic")


def test_goal_made_in_python_is_checked_as_a_whole() -> None:
    with pytest.raises(ValidationError, match='"tier" is already written by another row'):
        _goal(fields=[ExportField(from_="property.a", to="tier"), ExportField(from_="property.b", to="tier")])


def test_goal_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        _goal().id = "other"  # type: ignore[misc]  # the point of the test


def test_python_names_of_keys_are_not_keys_of_the_file(problems: Problems) -> None:
    found = problems(EXPORT + "  - {from_: property.x, to: y}\n")

    assert '10 fields[2].from_: there is no such key here. Nearest: "from".' in found


def test_csv_source_has_columns_only() -> None:
    with pytest.raises(ValidationError, match="a CSV file has columns only"):
        _goal(source=CsvSource(s3_csv="s3://bucket/*.csv"))


def test_what_runs_leave_is_kept_for_a_while_unless_the_goal_says_otherwise() -> None:
    assert _goal().retention.model_dump() == {"work_days": 7, "snapshot_days": 30, "history_days": 7}


@pytest.mark.parametrize(
    ("retention", "problem"),
    [
        ("{work_days: 0}", "expected at least 1; found 0."),
        ("{snapshot_days: -1}", "expected at least 0; found -1."),
        ("{history_days: 6}", "expected at least 7; found 6."),
        ("{work_days: 36500}", "expected at most 3,650; found 36500."),
    ],
)
def test_a_retention_that_would_take_what_is_needed_or_is_a_typing_error_is_refused(
    problems: Problems, retention: str, problem: str
) -> None:
    name = retention[1:].partition(":")[0]

    assert problems(EXPORT + f"retention: {retention}\n") == [f"10 retention.{name}: {problem}"]


def test_import_field_defaults_to_set() -> None:
    assert ImportField(from_="email", to="email").merge == "set"


def _goal(**changes: object) -> ExportGoal:
    values: dict[str, object] = {
        "id": "vips",
        "staging": "s3://bucket/folder",
        "source": SegmentSource(segment="VIPs"),
        "identifiers": [ExportIdentifier(blueconic="crm_id", braze="external_id")],
        "fields": [
            ExportField(from_="property.firstname", to="first_name"),
            ExportField(from_="segments", to="segments"),
            ExportField(from_="interactions", to="seen"),
            ExportField(value="blueconic", to="source"),
        ],
    }
    return ExportGoal(**{**values, **changes})  # type: ignore[arg-type]  # checked when the goal is made
