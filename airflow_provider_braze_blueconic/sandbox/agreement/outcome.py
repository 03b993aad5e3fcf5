"""What a comparison of both sides came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Agreement"]


@dataclass
class Agreement:
    """The outcome of a comparison.

    :param people: people who were compared.
    :param absent: people whom Braze does not have.
    :param values: values that were compared.
    :param left_out: values that Braze would refuse or drop, so that it need not have them.
    :param differences: field → people whose value differs.
    """

    people: int = 0
    absent: int = 0
    values: int = 0
    left_out: int = 0
    differences: Counter[str] = field(default_factory=Counter)

    @property
    def agreed(self) -> bool:
        """Whether nobody is absent and nothing differs; comparing nothing is not agreeing."""
        return self.values > 0 and not self.absent and not self.differences
