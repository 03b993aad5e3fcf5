from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.vendors.braze_names import braze_name_hint, braze_name_problem


@pytest.mark.parametrize("name", ["birthday", "Birthday", "birth_date", "date_of_birth"])
def test_another_name_for_the_date_of_birth_is_a_hint_and_no_mistake(name: str) -> None:
    assert braze_name_problem(name) is None
    assert braze_name_hint(name) == 'becomes a custom attribute. Did you mean "dob"?'


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("avatar", '"image_url"'),
        ("profilePicture", '"image_url"'),
        ("locale", '"language"'),
        ("bio", "Braze's profiles have a bio"),
        ("phoneNumber", '"phone"'),
        ("surname", '"last_name"'),
        ("city", '"home_city"'),
        ("sex", '"gender"'),
    ],
)
def test_what_other_systems_call_a_standard_attribute_is_hinted_at(name: str, meant: str) -> None:
    assert braze_name_problem(name) is None
    assert meant in (braze_name_hint(name) or "")


@pytest.mark.parametrize("name", ["dob", "language", "loyalty_points", "birthday_voucher", "Email", f"x{'y' * 300}"])
def test_other_names_get_no_hint(name: str) -> None:
    assert braze_name_hint(name) is None


@pytest.mark.parametrize("name", ["é" * 239, "x" * 255, "字" * 159])
def test_a_name_that_braze_keeps_whole_is_taken(name: str) -> None:
    assert braze_name_problem(name) is None


@pytest.mark.parametrize("name", ["é" * 240, "字" * 160, "x" * 256])
def test_a_name_that_braze_would_cut_off_is_refused(name: str) -> None:
    assert "Braze cuts a name off" in (braze_name_problem(name) or "")


@pytest.mark.parametrize("name", ["", " vip", "vip\n", "x" * 256])
def test_text_that_is_no_name_is_refused(name: str) -> None:
    assert braze_name_problem(name)
