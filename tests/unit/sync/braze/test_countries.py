"""Which country a text means."""

from __future__ import annotations

from importlib.resources import files

import pytest

from airflow_provider_braze_blueconic.sync.braze.countries import country_text

ISO = {
    line.split("\t")[0]: line.split("\t")[1]
    for line in files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DEU", "DE"),
        ("gbr", "GB"),
        ("U.K.", "GB"),
        ("U.S.A.", "US"),
        ("u.s.", "US"),
        ("USA", "US"),
        ("840", "US"),
        ("South Korea", "KR"),
        ("Korea, Republic of", "KR"),
        ("Republic of Korea", "KR"),
        ("Czechia", "CZ"),
        ("Czech Republic", "CZ"),
        ("Türkiye", "TR"),
        ("TURKIYE", "TR"),
        ("Turkey", "TR"),
        ("Deutschland", "DE"),
        ("Allemagne", "DE"),
        ("Duitsland", "DE"),
        ("Германия", "DE"),
        ("德国", "DE"),
        ("Österreich", "AT"),
        ("España", "ES"),
        ("Espana", "ES"),
        ("Cote d'Ivoire", "CI"),
        ("Côte d\u2019Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("St. Lucia", "LC"),
        ("Saint Lucia", "LC"),
        ("The Bahamas", "BS"),
        ("Bosnia & Herzegovina", "BA"),
        ("Bosnia and Herzegovina", "BA"),
        ("Viet Nam", "VN"),
        ("Russian Federation", "RU"),
        ("Hong Kong", "HK"),
        ("Scotland", "GB"),
        ("Côte\u00a0d'Ivoire", "CI"),
    ],
)
def test_codes_and_names_people_write_are_found(text: str, code: str) -> None:
    assert country_text(text) == (f'"{code}"', None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("XX", id="no code"),
        pytest.param("XK", id="not assigned by ISO, so Braze may store NULL"),
        pytest.param("EU", id="a union"),
        pytest.param("Europe", id="a continent"),
        pytest.param("SU", id="fifteen countries now"),
        pytest.param("Korea", id="two countries"),
        pytest.param("Kongo", id="one country in Norwegian, another in Hausa"),
        pytest.param("Narnia", id="no country"),
        pytest.param("n/a", id="no name"),
        pytest.param("N.A.", id="not available, and not Namibia"),
        pytest.param("-", id="no letter"),
    ],
)
def test_what_is_no_country_or_more_than_one_is_left_out(text: str) -> None:
    assert country_text(text) == (None, "unknown_country")


def test_every_code_and_english_name_of_iso_s_table_is_the_country_itself() -> None:
    by_code = {code: country_text(code)[0] for code in ISO}
    by_name = {name: country_text(name)[0] for name in ISO.values() if name != "Samoa (American)"}

    assert by_code == {code: f'"{code}"' for code in ISO}
    strange = {name: found for name, found in by_name.items() if found not in (None, f'"{code_of(name)}"')}
    assert strange == {}
    assert sum(found is None for found in by_name.values()) < 15


def code_of(name: str) -> str:
    return next(code for code, known in ISO.items() if known == name)
