from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.sync.braze.segment_export_request import ExportRequest, export_request


def test_exactly_what_the_paths_read_is_asked_for_and_the_id() -> None:
    request = export_request(
        ["email", "custom_attributes.tags", "custom_attributes.address.city", "purchases[name=sku1].count"]
    )

    assert request == ExportRequest(("braze_id", "email", "purchases"), ("address", "tags"))


def test_500_attributes_are_named_and_501_are_asked_for_all_together() -> None:
    paths = [f"custom_attributes.a{number:03d}" for number in range(501)]

    assert len(export_request(paths[:500]).custom_attributes) == 500
    assert export_request(paths) == ExportRequest(("braze_id", "custom_attributes"))


def test_remaining_fields_are_all_documented_ones_without_secrets_of_devices() -> None:
    request = export_request(["custom_attributes.tags"], remaining=True)

    assert request.custom_attributes == ()
    assert {"custom_attributes", "apps", "devices", "uninstalled_at", "user_aliases"} <= set(request.fields)
    assert not {"push_tokens", "campaigns_received", "canvases_received"} & set(request.fields)
    assert len(request.fields) == 30


def test_campaigns_come_with_the_rest_where_a_row_names_them() -> None:
    assert "campaigns_received" in export_request(["campaigns_received"], remaining=True).fields


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="Braze exports no field"):
        export_request(["emial"])


def test_another_segment_bucket_or_field_is_another_request() -> None:
    first = export_request(["email"])

    assert first.fingerprint("s3://a/") == export_request(["email", "braze_id"]).fingerprint("s3://a/")
    assert first.fingerprint("s3://a/") != first.fingerprint("s3://b/")
    assert first.fingerprint("s3://a/") != export_request(["phone"]).fingerprint("s3://a/")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"braze_id": "1"}, True),
        ({"braze_id": "1", "email": "x", "custom_attributes": {"tags": []}}, True),
        ({"braze_id": "1", "custom_attributes": None}, True),
        ({"email": "x"}, False),
        ({"braze_id": "1", "phone": "x"}, False),
        ({"braze_id": "1", "custom_attributes": {"tags": [], "points": 1}}, False),
        ({"braze_id": "1", "custom_attributes": [1]}, False),
    ],
    ids=["least data", "all data", "null", "without the id", "a field more", "an attribute more", "odd"],
)
def test_user_that_was_not_asked_for_so_is_not_explained(user: dict[str, object], expected: bool) -> None:
    assert export_request(["email", "custom_attributes.tags"]).explains(user) is expected


def test_request_for_all_attributes_explains_any() -> None:
    request = export_request(["email"], remaining=True)

    assert request.explains({"braze_id": "1", "custom_attributes": {"whatever": 1}})
