"""What Braze stores of each attribute: the normal form, or the reason why a value would be refused or dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sandbox.braze.field_checks import find_problem
from airflow_provider_braze_blueconic.sandbox.braze.standard_fields import STANDARD_FIELDS
from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.vendors.braze_attributes import FieldType, is_billable, is_clearable
from tests.support.core import map_values

GROUP = "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"

# Attribute → rows of (source text, JSON text or None, reason or None).
STANDARD: dict[str, list[tuple[str, str | None, str | None]]] = {
    "first_name": [
        (" Zoë ", '"Zoë"', None),
        ("007", '"007"', None),
        ("x" * 255, '"' + "x" * 255 + '"', None),
        ("x" * 256, None, "too_long"),
    ],
    "last_name": [("O'Neill", '"O\'Neill"', None), ("é" * 256, None, "too_long")],
    "home_city": [("'s-Hertogenbosch", '"\'s-Hertogenbosch"', None), ("x" * 256, None, "too_long")],
    "image_url": [
        ("https://a.example/" + "x" * 1_006, '"https://a.example/' + "x" * 1_006 + '"', None),
        ("https://a.example/" + "x" * 1_007, None, "too_long"),
    ],
    "email": [
        ("Ann@Example.COM", '"ann@example.com"', None),
        (" ann+tag@mail.example.com ", '"ann+tag@mail.example.com"', None),
        ("o'neill@example.ie", '"o\'neill@example.ie"', None),
        ("zoë@bücher.example", '"zoë@xn--bcher-kva.example"', None),
        ("ann@BÜCHER.example", '"ann@xn--bcher-kva.example"', None),
        ("ann@xn--bcher-kva.example", '"ann@xn--bcher-kva.example"', None),
        ("ann@straße.example", '"ann@xn--strae-oqa.example"', None),
        ("用户@例え.jp", '"用户@xn--r8jz45g.jp"', None),
        ("ann@\u0bb4\u200d.example", None, "bad_email"),
        ("ann@b_ü.example", None, "bad_email"),
        ("Zoë@example.com", '"zoë@example.com"', None),
        ("\xa0ann@example.com\u200b", '"ann@example.com"', None),
        ("\ufeffann@example.com\u3000", '"ann@example.com"', None),
        ("ann\xa0b@example.com", None, "bad_email"),
        ("ann\u200bb@example.com", None, "bad_email"),
        ("ann@exam\u200bple.com", None, "bad_email"),
        ("ann@exam\xadple.com", None, "bad_email"),
        ("zoë\u2003b@example.com", None, "bad_email"),
        ("!#$%&'*+-/=?^_`|~@example.com", "\"!#$%&'*+-/=?^_`|~@example.com\"", None),
        ("ann..lee@docomo.example", '"ann..lee@docomo.example"', None),
        (".ann@example.com", None, "bad_email"),
        ("ann.@example.com", None, "bad_email"),
        ("ann{lee}@example.com", None, "bad_email"),
        ("zoë(lee)@example.com", None, "bad_email"),
        ('"ann lee"@example.com', None, "bad_email"),
        ("zoë@ann@example.com", None, "bad_email"),
        ("ann@192.168.0.1", None, "bad_email"),
        ("ann@[192.168.0.1]", None, "bad_email"),
        ("ann@example.123", None, "bad_email"),
        ("ann@-example.com", None, "bad_email"),
        ("ann@example-.com", None, "bad_email"),
        ("ann@exam_ple.com", None, "bad_email"),
        ("ann@" + "x" * 63 + ".com", '"ann@' + "x" * 63 + '.com"', None),
        ("ann@" + "x" * 64 + ".com", None, "bad_email"),
        ("a@gmail.com", None, "bad_email"),
        ("ab@gmail.com", '"ab@gmail.com"', None),
        ("a@example.com", '"a@example.com"', None),
        ("o'neill@hotmail.com", None, "bad_email"),
        ("o'neill@live.co.uk", None, "bad_email"),
        ("zoë@outlook.example", None, "bad_email"),
        ("ann..lee@msn.com", None, "bad_email"),
        ("-ann@outlook.com", None, "bad_email"),
        ("Ann.Lee-1_x@hotmail.com", '"ann.lee-1_x@hotmail.com"', None),
        ("ann+o'neill@live.com", '"ann+o\'neill@live.com"', None),
        ("x" * 64 + "@example.com", '"' + "x" * 64 + '@example.com"', None),
        ("x" * 65 + "@example.com", None, "bad_email"),
        ("ann@" + ("x" * 60 + ".") * 4 + "abcdefg", '"ann@' + ("x" * 60 + ".") * 4 + 'abcdefg"', None),
        ("anne@" + ("x" * 60 + ".") * 4 + "abcdefg", None, "bad_email"),
        ("ann", None, "bad_email"),
        ("ann@example", None, "bad_email"),
        ("ann@example.c", None, "bad_email"),
        ("ann@@example.com", None, "bad_email"),
        ("ann@example..com", None, "bad_email"),
        ("ann@.example.com", None, "bad_email"),
        ("ann@example.com.", None, "bad_email"),
        ("ann b@example.com", None, "bad_email"),
        ("a@example.com, b@example.com", None, "bad_email"),
        ("Ann <ann@example.com>", None, "bad_email"),
        ("mailto:ann@example.com", None, "bad_email"),
    ],
    "phone": [
        ("+31612345678", '"+31612345678"', None),
        ("+31 6 12.34-56/78", '"+31612345678"', None),
        ("+31 (0)6 12345678", '"+31612345678"', None),
        ("+1 (202) 555-0100", '"+12025550100"', None),
        ("0612345678", '"0612345678"', None),
        ("06 1234 5678", '"06 1234 5678"', None),
        ("\u202a+31\xa06\u200b12345678\u202c", '"+31612345678"', None),
        ("+31\u20116\u201312345678", '"+31612345678"', None),
        ("+123456789012345", '"+123456789012345"', None),
        ("+1234567890123456", '"+1234567890123456"', None),
        ("x" * 256, None, "too_long"),
    ],
    "dob": [
        ("1980-12-21", '"1980-12-21"', None),
        ("12/21/1980", '"1980-12-21"', None),
        ("346204800000", '"1980-12-21"', None),
        ("1980-12-21T00:00:00+01:00", '"1980-12-21"', None),
        ("1980", None, "bad_date"),
        ("21-12-1980", None, "bad_date"),
    ],
    "gender": [
        ("M", '"M"', None),
        ("male", '"M"', None),
        ("f", '"F"', None),
        ("Woman", '"F"', None),
        ("o", '"O"', None),
        ("not applicable", '"N"', None),
        ("prefer not to say", '"P"', None),
        ("w", '"F"', None),
        ("V", '"F"', None),
        ("vrouw", '"F"', None),
        ("\xa0Vrouw\u200b", '"F"', None),
        ("weiblich", '"F"', None),
        ("Femme", '"F"', None),
        ("k", '"F"', None),
        ("männlich", '"M"', None),
        ("homme", '"M"', None),
        ("divers", '"O"', None),
        ("X", None, "unknown_gender"),
        ("0", None, "unknown_gender"),
    ],
    "country": [
        ("NL", '"NL"', None),
        ("nl", '"NL"', None),
        ("Netherlands", '"NL"', None),
        ("the netherlands", '"NL"', None),
        ("UK", '"GB"', None),
        ("GREAT BRITAIN", '"GB"', None),
        ("usa", '"US"', None),
        ("Australia", '"AU"', None),
        ("NLD", '"NL"', None),
        ("deu", '"DE"', None),
        ("South Korea", '"KR"', None),
        ("South\xa0Korea", '"KR"', None),
        ("Czechia", '"CZ"', None),
        ("Türkiye", '"TR"', None),
        ("Turkiye", '"TR"', None),
        ("Deutschland", '"DE"', None),
        ("\u200bDuitsland\xa0", '"DE"', None),
        ("XX", None, "unknown_country"),
        ("Narnia", None, "unknown_country"),
    ],
    "language": [
        ("nl", '"nl"', None),
        ("NL", '"nl"', None),
        ("nl-NL", '"nl"', None),
        ("en_US", '"en"', None),
        ("zh-Hant-TW", '"zh"', None),
        ("dutch", '"nl"', None),
        ("Deutsch", '"de"', None),
        ("no", '"nb"', None),
        ("nb", '"nb"', None),
        ("no-NO", '"nb"', None),
        ("nn", '"nn"', None),
        ("iw", '"he"', None),
        ("in", '"id"', None),
        ("fil", '"fil"', None),
        ("gsw", '"gsw"', None),
        ("haw", '"haw"', None),
        ("nld", '"nl"', None),
        ("fy", None, "unknown_language"),
        ("ht", None, "unknown_language"),
        ("wo", None, "unknown_language"),
        ("mi", None, "unknown_language"),
        ("xx", None, "unknown_language"),
    ],
    "time_zone": [
        ("Europe/Amsterdam", '"Europe/Amsterdam"', None),
        ("america/new_york", '"America/New_York"', None),
        ("UTC", '"UTC"', None),
        ("Eastern Time (US & Canada)", '"Eastern Time (US & Canada)"', None),
        ("Mars/Phobos", None, "unknown_time_zone"),
        ("+02:00", None, "unknown_time_zone"),
        ("localtime", None, "unknown_time_zone"),
        ("Factory", None, "unknown_time_zone"),
    ],
    "current_location": [
        ('{"longitude":4.9,"latitude":52.3}', '{"latitude":52.3,"longitude":4.9}', None),
        ('{"latitude":"52.30","longitude":"4.90","accuracy":5}', '{"latitude":52.3,"longitude":4.9}', None),
        ('{"longitude":-180,"latitude":90}', '{"latitude":90.0,"longitude":-180.0}', None),
        ('{"longitude":-0,"latitude":0}', '{"latitude":0.0,"longitude":0.0}', None),
        ('{"longitude":-0.0,"latitude":0}', '{"latitude":0.0,"longitude":0.0}', None),
        ('{"longitude":180.1,"latitude":0}', None, "bad_location"),
        ('{"longitude":0,"latitude":-90.1}', None, "bad_location"),
        ('{"longitude":"1_0","latitude":0}', None, "bad_location"),
        ('{"longitude":"NaN","latitude":0}', None, "bad_location"),
        ('{"longitude":null,"latitude":0}', None, "bad_location"),
        ('{"longitude":4.9}', None, "bad_location"),
        ("52.3,4.9", None, "bad_location"),
        ("[4.9,52.3]", None, "bad_location"),
    ],
    "email_subscribe": [
        ("opted_in", '"opted_in"', None),
        ("Subscribed", '"subscribed"', None),
        ("unsubscribed", '"unsubscribed"', None),
        ("true", None, "bad_subscription_state"),
        ("opted in", None, "bad_subscription_state"),
    ],
    "push_subscribe": [("OPTED_IN", '"opted_in"', None), ("yes", None, "bad_subscription_state")],
    GROUP: [
        ("subscribed", '"subscribed"', None),
        ("TRUE", '"subscribed"', None),
        ("1", '"subscribed"', None),
        ("unsubscribed", '"unsubscribed"', None),
        ("no", '"unsubscribed"', None),
        ("opted_in", None, "bad_subscription_state"),
    ],
    "email_open_tracking_disabled": [("yes", "true", None), ("maybe", None, "not_a_boolean")],
    "email_click_tracking_disabled": [("0", "false", None), ("2", None, "not_a_boolean")],
    "marked_email_as_spam_at": [("2023-11-14", '"2023-11-14T00:00:00.000Z"', None), ("soon", None, "bad_date")],
    "date_of_first_session": [("1700000000000", '"2023-11-14T22:13:20.000Z"', None), ("3001-01-01", None, "bad_date")],
    "date_of_last_session": [("1700000000123", '"2023-11-14T22:13:20.123Z"', None), ("x", None, "bad_date")],
    "facebook": [
        ('{"num_friends":2,"id":"1","likes":["a"]}', '{"id":"1","likes":["a"],"num_friends":2}', None),
        ("1", None, "not_an_object"),
    ],
    "twitter": [('{"screen_name":"ann","id":1}', '{"id":1,"screen_name":"ann"}', None), ("ann", None, "not_json")],
}  # fmt: skip


@pytest.mark.parametrize("attribute", STANDARD)
def test_a_standard_attribute_is_written_as_braze_stores_it_or_gets_a_reason(attribute: str, tmp_path: Path) -> None:
    table = STANDARD[attribute]

    # The type is what an unsuspecting goal would say: the attribute's own form comes first.
    found = map_values(tmp_path, braze_rule(attribute, "string"), [source for source, *_ in table])

    wanted = {source[:80]: (text, reason) for source, text, reason in table}
    assert dict(zip([source[:80] for source, *_ in table], found, strict=True)) == wanted


@pytest.mark.parametrize("attribute", STANDARD)
def test_what_braze_stores_of_a_standard_attribute_is_no_change_when_it_is_read_back(
    attribute: str, tmp_path: Path
) -> None:
    texts = [text for _, text, _ in STANDARD[attribute] if text is not None]
    read_back = [json.loads(text) if text.startswith('"') else text for text in texts]

    found = map_values(tmp_path, braze_rule(attribute, "string"), read_back)

    assert found == [(text, None) for text in texts]


@pytest.mark.parametrize("attribute", sorted(STANDARD.keys() - {GROUP}))
def test_what_is_sent_of_a_standard_attribute_is_what_the_sandbox_s_braze_stores(attribute: str) -> None:
    """Both are written from Braze's pages, and neither from the other."""
    texts = dict.fromkeys(text for _, text, _ in STANDARD[attribute] if text is not None)
    rule = STANDARD_FIELDS[attribute]

    assert [find_problem({attribute: json.loads(text)}) for text in texts] == [None] * len(texts)
    assert [rule(json.loads(text)) for text in texts] == [json.loads(text) for text in texts]


@pytest.mark.parametrize(
    ("attribute", "type_", "source", "found"),
    [
        pytest.param("First_Name", "integer", "7.5", (None, "not_an_integer"), id="another spelling is custom"),
        pytest.param("Country", "string", "Narnia", ('"Narnia"', None), id="country with a capital"),
        pytest.param("age", "integer", "007", ("7", None), id="integer"),
        pytest.param("score", "float", "7", ("7.0", None), id="float"),
        pytest.param("vip", "boolean", "yes", ("true", None), id="boolean"),
        pytest.param("seen", "time", "2023-11-14", ('"2023-11-14T00:00:00.000Z"', None), id="time"),
        pytest.param("code", "string", "007", ('"007"', None), id="string"),
        pytest.param("tags", "array", ["b", "a"], ('["a","b"]', None), id="array"),
        pytest.param("tags", "array", ["x" * 255], ('["' + "x" * 255 + '"]', None), id="array of long texts"),
        pytest.param("tags", "array", ["a", "x" * 256], (None, "too_long"), id="array with a text too long"),
        pytest.param("tags", "array", ["é" * 256], (None, "too_long"), id="array with a text too long, by characters"),
        pytest.param("pet", "object", '{"b":1,"a":2}', ('{"a":2,"b":1}', None), id="object"),
    ],
)
def test_a_custom_attribute_is_written_by_its_type(
    attribute: str, type_: FieldType, source: str | list[str], found: tuple[str | None, str | None], tmp_path: Path
) -> None:
    assert map_values(tmp_path, braze_rule(attribute, type_), [source]) == [found]


@pytest.mark.parametrize(
    ("attribute", "billable"),
    [
        ("first_name", True),
        ("country", True),
        ("Points now", True),
        ("email_subscribe", False),
        ("push_subscribe", False),
        (GROUP, False),
        ("email_open_tracking_disabled", False),
        ("email_click_tracking_disabled", False),
        ("marked_email_as_spam_at", False),
        ("Email_subscribe", True),
        ("date_of_first_session", True),
    ],
)
@pytest.mark.promise(5)
def test_only_the_group_subscription_and_consent_is_free(attribute: str, billable: bool) -> None:
    assert is_billable(attribute) is billable


@pytest.mark.parametrize(
    ("attribute", "clearable"),
    [
        ("first_name", True),
        ("Points now", True),
        ("email_subscribe", False),
        ("push_subscribe", False),
        (GROUP, False),
        ("email_open_tracking_disabled", True),
        ("marked_email_as_spam_at", True),
    ],
)
def test_a_subscription_cannot_be_cleared(attribute: str, clearable: bool) -> None:
    assert is_clearable(attribute) is clearable
