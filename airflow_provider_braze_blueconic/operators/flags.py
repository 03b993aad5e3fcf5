"""Flags of operators, which a template can turn into text."""

from __future__ import annotations

from airflow_provider_braze_blueconic.exceptions import SettingError

__all__ = ["is_true"]


def is_true(value: object) -> bool:
    """Read a flag that a template may have turned into text.

    :raises SettingError: for text that is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "none": False, "": False}
    text = str(value).strip().lower()
    if text not in words:
        raise SettingError(f"{value!r} is neither true nor false")
    return words[text]
