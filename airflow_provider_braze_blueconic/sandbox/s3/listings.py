"""The listings of the sandbox's S3."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection

from airflow_provider_braze_blueconic.sandbox.s3.answers import Answer

__all__ = ["without"]

_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def without(answer: Answer, hidden: Collection[str], *, bucket: str) -> Answer:
    """Leave objects out of a listing.

    :param hidden: ``/<bucket>/<key>`` of each.
    """
    if not answer.is_success:
        return answer
    document = ET.fromstring(answer.body)  # noqa: S314 - our own store's answer
    entries = document.findall(f"{_NAMESPACE}Contents")
    dropped = [entry for entry in entries if f"/{bucket}/{entry.findtext(f'{_NAMESPACE}Key')}" in hidden]
    for entry in dropped:
        document.remove(entry)
    count = document.find(f"{_NAMESPACE}KeyCount")
    if count is not None:
        count.text = str(len(entries) - len(dropped))
    ET.register_namespace("", _NAMESPACE.strip("{}"))
    body = ET.tostring(document, encoding="utf-8", xml_declaration=True)
    headers = [(name, text) for name, text in answer.headers if name.lower() != "content-length"]
    return Answer(answer.status, [*headers, ("Content-Length", str(len(body)))], body)
