"""The tables at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.cluster.audit import Audit
from tests.cluster.night import Outcome

__all__ = ["tables"]

_STEPS = ("extract", "map_fields", "compute_delta", "guard", "upload", "commit", "clean_up", "report")


def tables(found: Sequence[tuple[Outcome, Audit]]) -> str:
    """Show who was killed when, what became of everybody, and two workers against one."""
    parts = (_kills(found), _people(found), _times(found) if len(found) > 2 else "")
    return "\n\n".join(filter(None, parts))


def _kills(found: Sequence[tuple[Outcome, Audit]]) -> str:
    rows = [
        (str(outcome.night.number), kill.step, kill.worker, str(kill.left))
        for outcome, _ in found
        for kill in outcome.kills
    ]
    return _table(("night", "killed in", "who", "processes that live on"), rows)


def _people(found: Sequence[tuple[Outcome, Audit]]) -> str:
    head = (
        "night",
        "tasks by worker",
        "seconds",
        "S3 requests",
        "to send",
        "sent",
        "lost",
        "doubled",
        "receipts wrong",
    )
    rows = [
        (
            str(outcome.night.number),
            ", ".join(f"{name} {number}" for name, number in sorted(outcome.workers.items())),
            f"{outcome.seconds:,.0f}",
            f"{outcome.s3_requests:,}",
            *(f"{number:,}" for number in (outcome.night.people, account.sent, account.lost, account.doubled)),
            f"{account.receipts:,}",
            f"{account.ledger:,}",
            f"{account.again:,}",
        )
        for outcome, account in found
    ]
    return _table((*head, "ledger wrong", "once more, unanswered at the kill"), rows)


def _times(found: Sequence[tuple[Outcome, Audit]]) -> str:
    two, one = (outcome for outcome, _ in found[1:3])
    rows = [
        (step, f"{two.steps[step]:.1f}", f"{one.steps[step]:.1f}", f"{one.steps[step] / max(two.steps[step], 0.1):.2f}")
        for step in _STEPS
        if step in two.steps and step in one.steps
    ]
    rows.append(("all", f"{two.seconds:.1f}", f"{one.seconds:.1f}", f"{one.seconds / two.seconds:.2f}"))
    return _table(("step", "2 workers, s", "1 worker, s", "times faster"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
