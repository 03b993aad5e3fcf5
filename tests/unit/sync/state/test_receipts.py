"""One receipt."""

from __future__ import annotations

from tests.support.receipts import receipt

# Parts


def test_a_receipt_does_not_show_the_person() -> None:
    shown = repr(receipt("secret", "rejected", "reason"))

    assert "secret" not in shown
    assert "rejected" in shown
