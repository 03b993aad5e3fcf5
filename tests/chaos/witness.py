"""What the target saw: every record of every write request, whether it was applied, and what the sender was told of it.

Read from the exchanges that the sandbox recorded, by code that shares nothing with the hooks. Whether a record was
applied is what the service itself answered, also where a fault kept that answer from the sender; what the sender was
told is only what an answer said that reached it whole.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_braze_blueconic.sandbox.braze.standard_fields import BILLED, CONTROLS, IDENTIFIERS
from airflow_provider_braze_blueconic.sandbox.exchanges import Answer, Exchange

__all__ = ["Sent", "Told", "data_points", "is_write", "read_sent"]

Told = Literal["accepted", "rejected", "not_found", "no_consent"]

_ADDED = {"INCREMENT", "SUM"}
_TAKEN = {"CREATED", "MODIFIED", "UNCHANGED"}
_TOLD: Mapping[str, Told] = {
    **dict.fromkeys(_TAKEN, "accepted"),
    "NOTFOUND": "not_found",
    "CONSENT_MISMATCH": "no_consent",
    "SKIPPED": "rejected",
    "RESTRICTION_MISMATCH": "rejected",
    "UNAUTHORIZED": "rejected",
}
_PATHS = {"braze": ("POST", "/users/track"), "blueconic": ("PUT", "/rest/v2/profiles")}


@dataclass(frozen=True)
class Sent:
    """One record of one request.

    :param request: number of the request among all exchanges of the sandbox.
    :param person: by which the target finds the person.
    :param values: field → what it is to be, as JSON text.
    :param added: field → what is added to it, as text.
    :param applied: whether the target did what the record says; ``None`` where its own answer does not tell either.
    :param told: what the sender was told; ``None`` for nothing that could be believed.
    :param refused: fields that the sender was told were not taken, although the record was.
    :param began: monotonic seconds of the request.
    :param ended: monotonic seconds of its answer.
    """

    request: int
    person: str
    values: Mapping[str, str] = field(repr=False)
    added: Mapping[str, str] = field(repr=False)
    applied: bool | None
    told: Told | None
    refused: frozenset[str]
    began: float
    ended: float


def is_write(exchange: Exchange) -> bool:
    """Tell whether a request writes people."""
    return (exchange.method, exchange.url.partition("?")[0]) == _PATHS.get(exchange.service)


def read_sent(exchanges: Iterable[Exchange], *, first: int = 0) -> Iterator[Sent]:
    """Read the records of the write requests among exchanges, in the order in which these ended.

    :param first: number of the first exchange.
    """
    for number, exchange in enumerate(exchanges, start=first):
        if is_write(exchange):
            read = _read_track if exchange.service == "braze" else _read_bulk
            yield from read(number, exchange)


def data_points(sent: Sent) -> int:
    """Count what Braze bills for a record without nested objects."""
    return len(sent.values)


def _read_track(number: int, exchange: Exchange) -> Iterator[Sent]:
    objects = json.loads(exchange.request_body)["attributes"]
    applied, told = _applied_by_braze(exchange, len(objects)), _told_by_braze(exchange, len(objects))
    for position, item in enumerate(objects):
        unbilled = {name for name in item if name in CONTROLS | IDENTIFIERS or _is_free(name)}
        yield Sent(
            request=number,
            person=item["external_id"],
            values={name: json.dumps(value) for name, value in item.items() if name not in unbilled},
            added={},
            applied=None if applied is None else position in applied,
            told=told.get(position),
            refused=frozenset(),
            began=exchange.began,
            ended=exchange.ended,
        )


def _is_free(name: str) -> bool:
    return name in {"email_subscribe", "push_subscribe"} and name not in BILLED


def _own_answer(exchange: Exchange) -> Answer:
    return exchange.hidden or Answer(exchange.status or 0, exchange.response_headers, exchange.response_body)


def _json(headers: Mapping[str, str], body: bytes) -> Any:
    try:
        return json.loads(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
    except (ValueError, EOFError, OSError):
        return None


def _applied_by_braze(exchange: Exchange, objects: int) -> set[int] | None:
    """Find the positions that Braze took: all that it did not refuse, up to where a broken connection stopped it.

    ``None`` where it does not say which ones it refused.
    """
    answer = _own_answer(exchange)
    document = _json(answer.headers, answer.body)
    if answer.status != 201 or not isinstance(document, dict) or "attributes_processed" not in document:
        return set()
    refused = {entry.get("index") for entry in document.get("errors", [])}
    if None in refused:
        return None
    taken = [position for position in range(objects) if position not in refused]
    return set(taken[: document["attributes_processed"]])


def _told_by_braze(exchange: Exchange, objects: int) -> dict[int, Told]:
    """Read an answer as a careful reader may: what does not account for every object says nothing of any."""
    document = _json(exchange.response_headers, exchange.response_body)
    if not isinstance(document, dict):
        document = {}
    errors = document.get("errors", [])
    places = [entry.get("index") for entry in errors]
    told: dict[int, Told] = {place: "rejected" for place in places if isinstance(place, int)}
    if exchange.status == 201 and document.get("message") == "success" and len(told) == len(errors):
        told = {position: told.get(position, "accepted") for position in range(objects)}
    elif exchange.status == 400:
        told = told or ({0: "rejected"} if objects == 1 else {})
    else:
        told = {}
    return told


def _read_bulk(number: int, exchange: Exchange) -> Iterator[Sent]:
    entries = json.loads(exchange.request_body)
    own, seen = (
        _own_answer(exchange),
        Answer(
            exchange.status or 0, exchange.response_headers, exchange.response_body if exchange.hidden is None else b""
        ),
    )
    applied, told = _results(own), _results(seen)
    for entry in entries:
        key = entry["identifier"]
        rules = [rule for rule in entry["properties"] if rule.get("restriction") != "NEW_PROFILES_ONLY"]
        result = told.get(key, {})
        faults = frozenset(result.get("validationErrors", {}))
        verdict = _TOLD.get(result.get("state", ""))
        if exchange.status == 400 and len(entries) == 1:
            verdict = "rejected"
        if verdict == "accepted" and result["state"] != "CREATED" and faults >= {rule["id"] for rule in rules}:
            verdict = "rejected"
        yield Sent(
            request=number,
            person=entry["matching"][0][0]["value"],
            values={rule["id"]: _rule_text(rule) for rule in rules if rule["strategy"] not in _ADDED},
            added={rule["id"]: rule["values"][0] for rule in rules if rule["strategy"] in _ADDED},
            applied=applied.get(key, {}).get("state") in _TAKEN,
            told=verdict,
            refused=faults,
            began=exchange.began,
            ended=exchange.ended,
        )


def _rule_text(rule: Mapping[str, Any]) -> str:
    return json.dumps([rule["strategy"], rule["values"]])


def _results(answer: Answer) -> dict[str, Mapping[str, Any]]:
    """Read the results of a bulk write by key; the first 1,000 of too many are answered with 413."""
    document = _json(answer.headers, answer.body)
    if answer.status not in (200, 413) or not isinstance(document, list):
        return {}
    return {result["identifier"]: result for result in document if "identifier" in result}
