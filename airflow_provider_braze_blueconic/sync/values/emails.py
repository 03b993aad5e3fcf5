"""E-mail addresses: what Braze takes for one, and in which form it wants it.

Braze's user guide, page "Email validation", read 2026-11. Where an address breaks a rule of that page, Braze refuses
the whole object that holds it, the person's other fields included. The page also says that the last label should be in
ICANN's list, and that only the syntax is checked: that list is not asked here, since it grows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.values.space import SPACE

if TYPE_CHECKING:
    import duckdb

__all__ = ["address_sql", "ascii_domain", "braze_email_sql", "load_ascii_domains"]

_CHARACTERS = 255
"""Of the whole address: what Braze stores of a string."""
_LOCAL_CHARACTERS = 64

_ASCII = r"a-z0-9_\-^+$'&#/!%*=?`|~"
_LETTERS = r"\p{L}\p{M}\p{Nd}\p{Nl}\p{P}\p{S}"
"""What the page's expression takes beyond ASCII. Its ASCII members are excluded by :data:`_NEVER`."""
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_TOP_LABEL = "(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])"
"""Every top-level domain that there is; the page only excludes numbers."""

_NEVER = r"[\"(),:;<>\[\\\]{}]|@.*@"
_MICROSOFT = r"@.*(?:msn|hotmail|outlook|live)"
"""A host that "includes" one of the words, says the page. Taken by the letter: a wrong guess would cost the person and
not just the address."""
_MICROSOFT_LOCAL = r"^[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*[+@]"
_SHORT_GMAIL = r"^.@.*(?:gmail|googlemail)"
_PROVIDERS = "@.*(?:msn|hotmail|outlook|live|gmail|googlemail)"
"""Whom a rule of its own may concern: one look for most addresses."""

_ADDRESS = (
    r"[^@\p{Z}\p{C}\"<>(),;:\\\[\]]{1,64}@(?:[^@\p{Z}\p{C}\"<>(),;:\\\[\].]+\.)+[^@\p{Z}\p{C}\"<>(),;:\\\[\].]{2,}"
)

_DOMAINS = "ascii_domains"


def address_sql(value: str) -> str:
    """SQL that tells whether a text has the form of an address, in any script."""
    return f"regexp_full_match({value}, {_sql(_ADDRESS)})"


def braze_email_sql(value: str) -> str:
    """SQL for an address as Braze wants it: in lower case, the domain in ASCII (Punycode); NULL if Braze refuses it.

    Domains in another script are found in what :func:`load_ascii_domains` loaded into the connection.
    """
    # Not indexed by [key]: before DuckDB 1.3 that gave a list.
    domain = f"map_extract(getvariable('{_DOMAINS}'), {_domain_sql(value)})[1]"
    foreign = f"concat(regexp_extract({value}, '^(.*)@', 1), '@', coalesce({domain}, {_domain_sql(value)}))"
    narrow = f"regexp_full_match(lower({value}), {_sql(_pattern(_ASCII))})"
    wide = f"regexp_full_match(w, {_sql(_pattern(_ASCII + _LETTERS))}) AND NOT regexp_matches(w, {_sql(_NEVER)})"
    return (
        f"(CASE WHEN strlen({value}) = length({value}) THEN {_if_stored(f'lower({value})', narrow)} "
        # A list of one, so that the text is worked out once and not wherever it stands.
        f"ELSE [{_if_stored('w', wide)} FOR w IN [lower({foreign})]][1] END)"
    )


def _if_stored(text: str, shape: str) -> str:
    provider = (
        f"(NOT regexp_matches({text}, {_sql(_PROVIDERS)}) OR (NOT regexp_matches({text}, {_sql(_SHORT_GMAIL)}) "
        f"AND (NOT regexp_matches({text}, {_sql(_MICROSOFT)}) OR regexp_matches({text}, {_sql(_MICROSOFT_LOCAL)}))))"
    )
    fits = f"length({text}) <= {_CHARACTERS} AND strpos({text}, '@') <= {_LOCAL_CHARACTERS + 1}"
    return f"CASE WHEN {fits} AND {shape} AND {provider} THEN {text} END"


def load_ascii_domains(connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[str]) -> None:
    """Let :func:`braze_email_sql` know the domains in other scripts that columns hold; each is looked at once.

    :param columns: SQL for texts without space at their edges.
    """
    if not columns:
        return
    selects = (f"SELECT {_domain_sql('v')} AS d FROM (SELECT {column} AS v FROM {source})" for column in columns)
    foreign = f"SELECT DISTINCT d FROM ({' UNION ALL '.join(selects)}) WHERE strlen(d) <> length(d)"
    found = [(domain, ascii_domain(domain)) for (domain,) in connection.execute(foreign).fetchall()]
    known = [pair for pair in found if pair[1] is not None]
    connection.execute(
        f"SET VARIABLE {_DOMAINS} = map(?::VARCHAR[], ?::VARCHAR[])", [[d for d, _ in known], [a for _, a in known]]
    )


def ascii_domain(domain: str) -> str | None:
    """Return a domain in ASCII, as IDNA writes it (UTS 46); ``None`` where it can't be one.

    UTS 46 drops a zero-width space without a word. Braze refuses space of any kind, so it is refused here as well.
    """
    import idna

    if any(character in SPACE or unicodedata.category(character)[0] in "ZC" for character in domain):
        return None
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None


def _domain_sql(value: str) -> str:
    return f"regexp_extract({value}, '@([^@]*)$', 1)"


def _pattern(characters: str) -> str:
    # Without a count of the characters: with that of every script times 62, RE2 gives up its fast way.
    return rf"[{characters}](?:[{characters}.]*[{characters}])?@(?:{_LABEL}\.)+{_TOP_LABEL}"


def _sql(pattern: str) -> str:
    return "'" + pattern.replace("'", "''") + "'"
