"""One page of profiles, read as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_provider_braze_blueconic.hooks.http.bodies import NoListError, NotJsonError
from airflow_provider_braze_blueconic.sync.blueconic.page_cutting import BrokenPage, PageCutter
from airflow_provider_braze_blueconic.sync.blueconic.page_rows import PageRows
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import NotProfiles

__all__ = ["read_rows"]


def read_rows(
    chunks: Iterator[bytes], rows: PageRows, *, on_head: Callable[[Mapping[str, Any]], None]
) -> dict[str, Any]:
    """Read a page to its end.

    :param rows: takes the profiles.
    :param on_head: told what the page says before its profiles, once.
    :return: the page, with the rows as its ``profiles``.
    :raises NotJsonError: it isn't whole.
    :raises NoListError: it has no list of profiles.
    """
    try:
        return _read(chunks, rows, on_head)
    except BrokenPage as broken:
        rows.drop()
        raise NotJsonError(is_web_page=broken.is_web_page) from None
    except NotProfiles:
        rows.drop()
        raise NoListError from None
    except BaseException:
        rows.drop()
        raise


def _read(chunks: Iterator[bytes], rows: PageRows, on_head: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    cutter = PageCutter(rows.take_text)
    is_told = False
    for chunk in chunks:
        cutter.feed(chunk)
        if not is_told and (head := cutter.head()) is not None:
            is_told = True
            on_head(head)
    body = cutter.finish()
    if not is_told:
        # A page whose profiles were not found while it came, in another encoding or a list of another form.
        entries = body.get("profiles")
        if not isinstance(entries, list):
            raise NoListError
        rows.take_entries(entries)
    return {**body, "profiles": rows}
