"""The share of the sent people whom the target doesn't accept, and the goal's limit for it.

Rejected people count, and those whose outcome is unknown. People whom the target doesn't know, or who didn't consent,
count as sent and not as rejected: they rest, and nothing is wrong with what was sent. Fields that the target refused of
a person whom it took don't count.
"""

from __future__ import annotations

from airflow_provider_braze_blueconic.exceptions import LimitExceeded

__all__ = ["too_many_rejected"]


def too_many_rejected(
    label: str, *, rejected: int, unknown: int, sent: int, percent: float | None
) -> LimitExceeded | None:
    """Say that more people were rejected than the goal allows; ``None`` if they were not.

    :param label: goal, and partition if it is about one; never a person.
    :param sent: people whom the run sends. While it sends, all of them: then more than the limit allows is certain.
    :param percent: the goal's ``limits.rejected_percent``; ``None`` for no limit.
    """
    refused = rejected + unknown
    if percent is None or not sent or 100 * refused <= percent * sent:
        return None
    share = f"{100 * refused / sent:.2f} %" + (f", {unknown:,} of them with an unknown outcome" if unknown else "")
    return LimitExceeded(
        f"{label}: {refused:,} of {sent:,} people were not accepted ({share}), more than limits.rejected_percent = "
        f"{percent:g}. What the target accepted is kept; the next run retries the others. The receipts table says "
        "why."
    )
