from __future__ import annotations

from airflow_provider_braze_blueconic.vendors.braze_export_fields import BRAZE_EXPORT_FIELDS


def test_export_fields_are_those_of_the_vendors_table() -> None:
    assert len(BRAZE_EXPORT_FIELDS) == 32
    assert "custom_attributes" not in BRAZE_EXPORT_FIELDS
