"""Countries as Braze stores them: two letters of ISO 3166-1.

Braze maps names "to some extent" and stores NULL for what it can't map, over what was there: docs "User attributes
object", read 2026-11. So a value is brought into the code here, and one that is no country is left out.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache

from airflow_provider_braze_blueconic.sync.braze.cldr_names import CldrNames, territory_codes

__all__ = ["country_text"]

_MORE_NAMES = {
    "Britain": "GB", "Great Britain": "GB", "England": "GB", "Scotland": "GB", "Wales": "GB", "Northern Ireland": "GB",
    "United Kingdom of Great Britain and Northern Ireland": "GB",
    "U.K.": "GB", "U.S.": "US", "U.S.A.": "US", "United States of America": "US", "America": "US",
    "Holland": "NL", "Kingdom of the Netherlands": "NL", "Czech Republic": "CZ", "Slovak Republic": "SK",
    "Federal Republic of Germany": "DE", "Republic of Ireland": "IE", "French Republic": "FR",
    "Russian Federation": "RU", "Republic of Moldova": "MD", "Moldova, Republic of": "MD",
    "Turkey": "TR", "Republic of Türkiye": "TR", "Macedonia": "MK", "Republic of North Macedonia": "MK",
    "Vatican": "VA", "Holy See": "VA", "Holy See (Vatican City State)": "VA",
    "Korea, Republic of": "KR", "Republic of Korea": "KR", "Korea (South)": "KR",
    "Korea, Democratic People's Republic of": "KP", "Democratic People's Republic of Korea": "KP",
    "Korea (North)": "KP", "People's Republic of China": "CN", "Mainland China": "CN",
    "Taiwan, Province of China": "TW", "Hong Kong": "HK", "Hong Kong SAR": "HK", "Macau": "MO", "Macao": "MO",
    "Viet Nam": "VN", "Lao People's Democratic Republic": "LA", "Burma": "MM", "Brunei Darussalam": "BN",
    "East Timor": "TL", "Iran, Islamic Republic of": "IR", "Islamic Republic of Iran": "IR",
    "Syrian Arab Republic": "SY", "Palestine": "PS", "State of Palestine": "PS", "Palestine, State of": "PS",
    "UAE": "AE", "KSA": "SA", "Tanzania, United Republic of": "TZ", "United Republic of Tanzania": "TZ",
    "Ivory Coast": "CI", "Cape Verde": "CV", "Swaziland": "SZ", "Gambia, The": "GM", "Bahamas, The": "BS",
    "Congo, Democratic Republic of the": "CD", "Congo, The Democratic Republic of the": "CD",
    "Democratic Republic of the Congo": "CD", "Congo (Dem. Rep.)": "CD", "DR Congo": "CD", "DRC": "CD", "Zaire": "CD",
    "Republic of the Congo": "CG", "Congo (Rep.)": "CG",
    "Bolivia, Plurinational State of": "BO", "Plurinational State of Bolivia": "BO",
    "Venezuela, Bolivarian Republic of": "VE", "Bolivarian Republic of Venezuela": "VE",
    "Micronesia, Federated States of": "FM", "Federated States of Micronesia": "FM",
    "Virgin Islands, U.S.": "VI", "U.S. Virgin Islands": "VI", "Virgin Islands, British": "VG",
    "Falkland Islands (Malvinas)": "FK",
    "Saint Helena, Ascension and Tristan da Cunha": "SH", "Sint Maarten (Dutch part)": "SX",
    "Saint Martin (French part)": "MF", "Bonaire, Sint Eustatius and Saba": "BQ",
}  # fmt: skip
"""ISO's own names where they differ from CLDR's, older ones, and what people write."""


def country_text(text: str) -> tuple[str | None, str | None]:
    """Find the country of a code or a name.

    :return: (JSON text, None), or (None, reason).
    """
    code = _country_code(text)
    return (None, "unknown_country") if code is None else (json.dumps(code), None)


def _country_code(text: str) -> str | None:
    written = unicodedata.normalize("NFKC", text)
    code = written.upper()
    code = territory_codes().get(code, code) if code not in _codes() else code
    return code if code in _codes() else _names().find(written)


@cache
def _codes() -> frozenset[str]:
    """Return the codes that ISO assigned: what CLDR has beside them (``XK``, ``EU``) Braze is not known to take."""
    from importlib.resources import files

    table = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line[:2] for line in table.splitlines() if line and not line.startswith("#"))


@cache
def _names() -> CldrNames:
    return CldrNames("territories", lambda code: code if code in _codes() else None, _MORE_NAMES)
