"""A profile as the rules of an entry make it."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile

__all__ = ["Draft"]


@dataclass
class Draft:
    """A profile as it will be when the rules of an entry have been followed."""

    values: dict[str, list[str]]
    legislation: str
    consented: list[str]
    refused: list[str]
    faults: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, profile: Profile) -> Draft:
        return cls(
            values=dict(profile.values),
            legislation=profile.legislation,
            consented=list(profile.consented),
            refused=list(profile.refused),
        )

    def is_as(self, profile: Profile) -> bool:
        return (self.values, self.legislation, self.consented, self.refused) == (
            profile.values,
            profile.legislation,
            profile.consented,
            profile.refused,
        )

    def changes(self, profile: Profile) -> dict[str, list[str]]:
        """Return the properties that differ, with their values in the draft."""
        names = self.values.keys() | profile.values
        return {name: self.values.get(name, []) for name in names if self.values.get(name) != profile.values.get(name)}
