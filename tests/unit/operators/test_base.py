from __future__ import annotations

import copy

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_braze_blueconic import exceptions
from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.operators.base import as_airflow_exception, is_true
from airflow_provider_braze_blueconic.operators.blueconic import BlueConicSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.braze import S3ToBrazeUsersOperator
from airflow_provider_braze_blueconic.sync.upload import Stopped


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (exceptions.GoalError([Problem("id", "is missing.")]), False),
        (exceptions.AccessError("wrong key"), False),
        (exceptions.LimitExceeded("too much"), False),
        (exceptions.UnexpectedAnswer("what"), False),
        (exceptions.TransientError("busy"), True),
        (exceptions.WriterConflict("slower"), True),
        (Stopped("killed"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_can_go_better_by_itself_is_tried_again(error: exceptions.SyncError, is_retried: bool) -> None:
    shown = as_airflow_exception(error)

    assert isinstance(shown, AirflowFailException) is not is_retried
    assert str(shown) == str(error)


@pytest.mark.parametrize(
    ("value", "expected"), [("True", True), ("false", False), (True, True), ("", False), (1, True)]
)
def test_a_flag_may_come_out_of_a_template(value: object, expected: bool) -> None:
    assert is_true(value) is expected


def test_a_flag_that_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        is_true("maybe")


def test_operators_can_be_copied_as_airflow_does() -> None:
    common = {"goal_id": "x", "staging": "s3://bucket/x"}
    extract = BlueConicSegmentToS3Operator(task_id="extract", segment="A", properties=["a"], **common)  # type: ignore[arg-type]
    upload = S3ToBrazeUsersOperator(task_id="upload", delta={}, partition=0, **common)  # type: ignore[arg-type]

    assert copy.deepcopy(extract).segment == "A"
    assert copy.deepcopy(upload).partition == 0
