"""What a BlueConic property can hold, and what a strategy makes of the values that it held.

BlueConic's pages on property types and its definition of ``PUT /profiles``, read 2026-11. How far a tenant checks the
values of a type is known in outline only, so the sandbox is strict: what a page does not promise to take is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

__all__ = ["SUM_STRATEGIES", "VALUE_STRATEGIES", "find_fault", "merge_values", "next_values"]

VALUE_STRATEGIES = ("ADD", "SET", "SET_IF_EMPTY", "REMOVE")

SUM_STRATEGIES = ("INCREMENT", "SUM")
"""Two words for one strategy: the definition's schema says the first, its prose the second."""

_MAX_NUMBER = 2_147_483_647  # page "Validating and enforcing data types in profile properties"
_MAX_CHARACTERS = 65_000  # page "Profile properties overview"
_NUMERIC = ("RANGE", "DECIMAL", "CURRENCY")
_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]{1,4})?")  # at most 4 decimals: the page on data types
_CURRENCY = re.compile(r"-?[0-9]+(\.[0-9]+)?")  # how many decimals depends on the currency
_UNSEEN = r"\s\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # white space, and what has no width
_EMAIL = re.compile(rf"[^@{_UNSEEN}]+@[^@{_UNSEEN}]+\.[^@.{_UNSEEN}]{{2,}}")


def _is_number(text: str) -> bool:
    return _WHOLE.fullmatch(text) is not None and abs(int(text)) <= _MAX_NUMBER


_CHECKS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "RANGE": (_is_number, f"not a whole number between -{_MAX_NUMBER} and {_MAX_NUMBER}"),
    "DECIMAL": (_DECIMAL.fullmatch, "not a number with at most 4 decimals"),
    "CURRENCY": (_CURRENCY.fullmatch, "not an amount"),
    "DATETIME": (_WHOLE.fullmatch, "not a time in Unix milliseconds"),
    "EMAIL": (_EMAIL.fullmatch, "not an e-mail address"),
}


def find_fault(filter_type: str, text: str) -> str | None:
    """Say why a property of a type cannot hold a value; ``None`` when it can. The value itself is not repeated."""
    if len(text) > _MAX_CHARACTERS:
        return f"longer than {_MAX_CHARACTERS} characters"
    check = _CHECKS.get(filter_type)
    if check is None or check[0](text):
        return None
    return check[1]


def next_values(
    filter_type: str, old: Sequence[str], strategy: str, given: Sequence[str], *, empty_set_clears: bool = True
) -> list[str]:
    """Return what a property holds after a rule.

    An empty text among the given ones is no value (UNVERIFIED).

    :param strategy: of :data:`VALUE_STRATEGIES` or :data:`SUM_STRATEGIES`.
    :param empty_set_clears: whether ``SET`` with nothing given empties the property or leaves it.
    :raises ValueError: with the reason for which the rule is left out.
    """
    texts = [text for text in given if text]
    if strategy == "REMOVE":  # what a property cannot hold is not there to be removed either
        return [text for text in old if text not in texts]
    if strategy in SUM_STRATEGIES:
        return [_sum(filter_type, old, texts)]
    _check(filter_type, texts)
    by_strategy = {
        "ADD": list(dict.fromkeys([*old, *texts])),
        "SET_IF_EMPTY": list(old or texts),
    }
    return by_strategy.get(strategy, list(texts if texts or empty_set_clears else old))


def _check(filter_type: str, texts: Iterable[str]) -> None:
    for text in texts:
        fault = find_fault(filter_type, text)
        if fault is not None:
            raise ValueError(fault)


def merge_values(merge_strategy: str, heir: Sequence[str], gone: Sequence[str]) -> list[str]:
    """Return what a property holds after two profiles were merged; the heir is the one that changed last.

    :param merge_strategy: the property's ``mergeStrategy``. How numbers are merged that are none is UNVERIFIED: here
        the heir's survive, as with a strategy that is the system's own.
    """
    if not heir or not gone:
        return list(heir or gone)
    if merge_strategy in _MERGED_NUMBERS and all(_CURRENCY.fullmatch(text) for text in (*heir, *gone)):
        return [_MERGED_NUMBERS[merge_strategy]((*heir, *gone))]
    merged = {"BOTH": dict.fromkeys([*heir, *gone]), "OLDEST": gone}
    return list(merged.get(merge_strategy, heir))


_MERGED_NUMBERS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "SUM": lambda numbers: f"{sum(map(Decimal, numbers)):f}",
    "HIGHEST": lambda numbers: max(numbers, key=Decimal),
    "LOWEST": lambda numbers: min(numbers, key=Decimal),
}


def _sum(filter_type: str, old: Sequence[str], given: Sequence[str]) -> str:
    """Add a number to the one that is stored; an empty property counts as 0. More than one of either is UNVERIFIED."""
    if filter_type not in _NUMERIC:
        raise ValueError("numbers can be added to number, decimal and currency properties only")
    if len(given) != 1 or len(old) > 1:
        raise ValueError("one number can be added to one number")
    _check(filter_type, (*old, *given))
    total = f"{Decimal(old[0] if old else 0) + Decimal(given[0]):f}"
    fault = find_fault(filter_type, total)
    if fault is not None:
        raise ValueError(f"the sum is {fault}")
    return total
