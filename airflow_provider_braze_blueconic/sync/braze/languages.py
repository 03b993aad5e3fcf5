"""Languages as Braze stores them: the codes of a list of its own, which is neither ISO 639-1 nor a part of it.

Docs "Supported language codes", read 2026-11. What Braze does with a code outside the list is UNVERIFIED, so such a
value is left out.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from airflow_provider_braze_blueconic.sync.braze.cldr_names import CldrNames

__all__ = ["language_text"]

_CODES = frozenset(
    """af agq ak am ar as ay az bas be bem bez bg bn bo br bs ca cgg chr cs cy da dav de dje dua dyo dz ebu ee el en eo
    es et eu ewo fa ff fi fil fo fr ga gd gl gn gsw gu guz gv ha haw he hi hr hu hy id ig ii is it iu ja jmc jv ka
    kab kam ki kk kl kln km kn ko ks ksb ksf ku kw ky la lb lg ln lo lt lu luo luy lv mas mer mfe mg mk ml mn mo mr
    ms mt mua my naq nb nd ne nl nn nus nyn om or pa pl ps pt qu rm ro rof ru rw rwk sa saq sbp sd se seh shi si sk
    sl sn so sq sr sv sw swc ta te teo tg th ti tk tl to tr tt twq tzm ug uk ur uz vai vi vun xh yav yi yo
    zh zu""".split()  # noqa: SIM905 - read by people, who want lines and not quotes
)

_MORE_CODES = {"no": "nb"}
"""CLDR keeps ``no`` apart; Braze has Bokmål, which nine of ten write, under the name Norwegian."""

_MORE_NAMES = {
    "Cambodian": "km", "Farsi": "fa", "Flemish": "nl", "Vlaams": "nl", "Mandarin": "zh", "Cantonese": "zh",
    "Norwegian": "nb", "Bokmål": "nb", "Nynorsk": "nn", "Castilian": "es", "Greenlandic": "kl", "Kirghiz": "ky",
    "Moldavian": "mo", "Peul": "ff", "Raeto Romance": "rm", "Scottish": "gd", "Uighur": "ug", "Sami": "se",
    "Schwyzerdütsch": "gsw",
}  # fmt: skip
"""Braze's own names where they differ from CLDR's, and what people write."""


def language_text(text: str) -> tuple[str | None, str | None]:
    """Find the language of a code, a locale (its language alone) or a name.

    :return: (JSON text, None), or (None, reason).
    """
    written = unicodedata.normalize("NFKC", text)
    code = _code(written.casefold())
    if code is None and re.fullmatch(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*([.@].*)?", written):
        code = _code(re.split(r"[_.@-]", written.casefold(), maxsplit=1)[0])
    if code is None:
        # "English (United States)", and what is before a comma: the region says nothing here.
        code = _names().find(written) or _names().find(re.split(r"[(,]", written, maxsplit=1)[0])
    return (None, "unknown_language") if code is None else (json.dumps(code), None)


def _code(code: str) -> str | None:
    """Return Braze's code for one of CLDR's, a code of three letters, or a former one."""
    for candidate in (code, _other_codes().get(code)):
        found = _MORE_CODES.get(candidate or "", candidate)
        if found in _CODES:
            return found
    return None


@cache
def _other_codes() -> Mapping[str, str]:
    from babel.core import get_global

    aliases: Mapping[str, str] = get_global("language_aliases")
    # Some stand for a language with a script or a region: "sh" is Serbian in Latin.
    return {alias.casefold(): code.split("_", 1)[0] for alias, code in aliases.items() if "_" not in alias}


@cache
def _names() -> CldrNames:
    return CldrNames("languages", lambda code: _code(code.split("_", 1)[0]), _MORE_NAMES)
