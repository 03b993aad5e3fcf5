"""Amazon's hooks for tests that make hundreds of clients."""

from __future__ import annotations

import pytest

__all__ = ["name_no_caller", "nameless_caller"]


def name_no_caller() -> None:
    """Leave the operator's name out of S3's user agent: to find it, each client reads the sources of the whole stack."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    AwsGenericHook._get_caller = lambda self, target_function_name="execute": "Unknown"  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def nameless_caller() -> None:
    """The same for all tests beside the conftest that imports this."""
    name_no_caller()
