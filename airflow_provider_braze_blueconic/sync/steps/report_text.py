"""The text of a run's report, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_braze_blueconic.sync.steps.counters import Report

__all__ = ["describe_stop", "describe_warnings", "render"]

_Rows = list[tuple[str, str]]
"""Label and value; indented rows explain the one above."""


def render(report: Report) -> list[tuple[str, str]]:
    """Turn a report into rows of label and value, for a log or a table; indented rows explain the one above."""
    return [*_about_read(report), *_about_mapping(report), *_about_delta(report), *_about_sending(report)]


def _about_read(report: Report) -> _Rows:
    return [
        ("status", report["status"]),
        *_named("because", [report["skipped_because"]] if report["skipped_because"] else []),
        ("dry run", "yes, nothing was sent" if report["dry_run"] else "no"),
        ("segment", report["segment"]),
        ("read", report["read"] + ("" if report["complete"] else ", not known to be all")),
        *_named("kept snapshot of", [report["as_of"]] if report["replayed"] else []),
        _count("profiles read", report["profiles"]),
        *_if_any("broken lines", report["broken_lines"]),
        *_if_any("pages asked for again", report["repeated_pages"]),
        *_if_any("repaired: half a character", report.get("repaired", 0)),
    ]


def _about_mapping(report: Report) -> _Rows:
    return [
        _count("people mapped", report["people"]),
        _count("skipped", sum(report["skipped"].values())),
        *_parts(report["skipped"]),
        _count("values left out", sum(report["warnings"].values())),
        *_parts(report["warnings"]),
        *_if_any("fields left out", len(report["left_out"])),
        *_named("new field", report["new_fields"]),
        *_named("new property", report["new_properties"]),
    ]


def _about_delta(report: Report) -> _Rows:
    return [
        _count("new", report["inserts"]),
        _count("changed", report["changes"]),
        _count("left the segment", report["leavers"]),
        _count("unchanged", report["unchanged"]),
        *_if_any("already there, not sent", report["seen"]),
        *_if_any("held, nothing changed", report["held"]),
        *_if_any("quarantined, refused too often", report["quarantined"]),
        *_if_any("changed in the target", report["drifted"]),
        *_parts(report["drift"]),
        *_if_any("  did not stick, not sent again", report["unstuck"]),
        *_if_any("not in the target", report["absent"]),
        _count("stale, not sent", report["stale"]),
        _count("people to send", report["to_send"]),
        _count("fields to send", report["fields"]),
        _count("  that clear a value", report["clears"]),
        ("data points", ("" if report["proven"] else "at most ") + f"{report['data_points']:,}"),
    ]


def _about_sending(report: Report) -> _Rows:
    return [
        _count("requests", report["requests"]),
        _count("accepted", report["accepted"]),
        *_named("  of them known", [] if report["proven"] else ["Braze does not say: creation is off"]),
        *_if_any("without single fields", sum(report["refused_fields"].values())),
        *_parts(report["refused_fields"]),
        *_if_any("not found", report["not_found"]),
        *_if_any("without consent", report["no_consent"]),
        _count("not accepted", sum(report["rejected"].values())),
        *_parts(report["rejected"]),
        _count("  with unknown outcome", report["unknown"]),
        _count("without an answer", report["unsent"]),
        *_if_any("sent by earlier tries", report["sent_before"]),
        ("seconds", f"{report['seconds']:.1f}"),
        ("people/s", f"{report['people_per_second']:,.0f}"),
    ]


def _count(label: str, count: int) -> tuple[str, str]:
    return label, f"{count:,}"


def _if_any(label: str, count: int) -> _Rows:
    """Leave out what concerns few goals and did not happen."""
    return [_count(label, count)] if count else []


def _named(label: str, names: Sequence[str]) -> _Rows:
    return [(label, name) for name in names]


def _parts(counts: Mapping[str, int]) -> _Rows:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [_count(f"  {reason}", count) for reason, count in ordered]


def describe_stop(report: Report) -> str:
    """Say of a run that ended before its upload what its earlier tries sent."""
    told = report["to_send"] - report["unsent"]
    ended = "this attempt of the run ended before the upload; see the task that failed."
    if not told and not report["sent_before"]:
        return f"{ended} Nothing was sent."
    accepted = report["accepted"] + report["sent_before"]
    return f"{ended} It sent nothing; from the run's earlier attempts, the target accepted {accepted:,} people."


def describe_warnings(report: Report) -> list[str]:
    """Say for each kind of value that was left out which rule it broke, and whose rule that is."""
    values = [f"{key}: {people:,} people. {_source(report, key)}" for key, people in report["warnings"].items()]
    return values + [f"{source}: {why}" for source, why in report["left_out"].items()]


def _source(report: Report, key: str) -> str:
    return report["warning_sources"].get(key.rsplit(": ", 1)[0], "")
