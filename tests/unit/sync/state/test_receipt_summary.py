"""Part receipts, counted by person."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary, summarise
from tests.support.core import engine
from tests.support.receipts import part, receipt


def test_people_accepted_without_a_field_are_counted_by_field(tmp_path: Path) -> None:
    path = part(
        tmp_path,
        "first",
        receipt("a")._replace(refused_fields=("city", "age"), reason="city: bad; age: bad"),
        receipt("b")._replace(refused_fields=("city",), reason="city: bad"),
        receipt("c"),
        receipt("d", "not_found", "nobody"),
    )

    summary = summarise(engine(tmp_path), [path])

    assert summary == ReceiptSummary(4, {"accepted": 3, "not_found": 1}, {}, {"city": 2, "age": 1})
    assert list(summary.refused_fields) == ["city", "age"], "what most people lack comes first"


def test_people_are_counted_by_their_best_receipt(tmp_path: Path) -> None:
    first = part(
        tmp_path,
        "first",
        receipt("a", "unknown", "lost"),
        receipt("b", "unknown", "lost"),
        receipt("c", "rejected", "is bad"),
        receipt("d"),
    )
    second = part(tmp_path, "second", receipt("a"), receipt("b", "rejected", "is bad"))

    summary = summarise(engine(tmp_path), [first, second])

    assert summary == ReceiptSummary(6, {"accepted": 2, "rejected": 2}, {"is bad": 2})


def test_no_parts_are_no_receipts(tmp_path: Path) -> None:
    assert summarise(engine(tmp_path), []) == ReceiptSummary(0, {}, {})
