"""How the sandbox's BlueConic tenant is set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["BlueConicSettings"]


@dataclass(frozen=True)
class BlueConicSettings:
    """How the sandbox's BlueConic tenant is set up.

    :param token_seconds: life of an access token.
    :param scopes: scopes of the sandbox's application; a call outside them is answered 403.
    :param index_lag_s: seconds until a change is found by a refinement; BlueConic says up to ten minutes.
    :param refused_refinements: properties on which a refinement is answered 400. That ``lastmodifieddate`` is accepted
        is UNVERIFIED, so a test can switch it off here.
    :param bulk_entries: entries of a bulk write that are processed; with more of them the answer is 413.
    :param concurrent_bulks: bulk writes in flight at once, above which they are answered 429; BlueConic publishes no
        number.
    :param sum_strategy: the word by which numbers are added: BlueConic's definition says ``INCREMENT`` in one place
        and ``SUM`` in another. The word that this tenant does not know is answered 400.
    :param unknown_sum: or, where this is ``ignored``, left out without a word, so that a profile of which nothing else
        changes is ``UNCHANGED``. UNVERIFIED which of the two a tenant does.
    :param empty_set_clears: whether ``SET`` with an empty list empties the property (else it says nothing). UNVERIFIED.
    :param stores_matching: whether a created profile gets the values that it was matched on. UNVERIFIED.
    :param several_matches: whether the ``first`` profile that matches is written (the one with the lowest id) or
        ``all`` of them, with a result each. UNVERIFIED.
    :param pii_rights: without them an entry that writes a PII property is ``UNAUTHORIZED``.
    :param skipped: entries that are answered ``SKIPPED``: their ``identifier``, ``profileId`` or a value they match on.
    :param unanswered: entries that are applied and yet have no result in the answer, named in the same way.
    :param shuffle_results: whether the results come in another order than the entries; the order is UNVERIFIED.
    """

    token_seconds: int = 3600
    scopes: Sequence[str] = (
        "read:segments",
        "read:profiles",
        "read:profile-properties",
        "read:objectives",
        "read:dialogues",
        "read:connections",
        "write:profiles",
        "write:profile-properties",
    )
    index_lag_s: float = 0.0
    refused_refinements: Sequence[str] = ()
    bulk_entries: int = 1000
    concurrent_bulks: int | None = None
    sum_strategy: Literal["INCREMENT", "SUM", "both"] = "both"
    unknown_sum: Literal["refused", "ignored"] = "refused"
    empty_set_clears: bool = True
    stores_matching: bool = False
    several_matches: Literal["first", "all"] = "first"
    pii_rights: bool = True
    skipped: Sequence[str] = ()
    unanswered: Sequence[str] = ()
    shuffle_results: bool = False
