from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_braze_blueconic.hooks.settings import Settings, this_airflow


def test_defaults_are_those_of_the_provider_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCK_SECONDS", "LOCK_GAP_SECONDS"):  # the tests' own, for all of them
        monkeypatch.delenv(f"AIRFLOW__BRAZE_BLUECONIC__{name}")

    assert Settings.load() == Settings(
        request_timeout=60.0,
        retry_attempts=6,
        retry_seconds=600.0,
        page_size=2000,
        max_in_flight=512,
        requests_per_second=1000.0,
        braze_settle_seconds=300.0,
        blueconic_settle_seconds=600.0,
        lock_seconds=30.0,
        lock_gap_seconds=900.0,
        wait_for_goal_minutes=360.0,
        reprocessed_runs_send=False,
        work_folder=None,
        memory_limit="1GB",
    )


def test_installation_overrides_them_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__PAGE_SIZE", "500")
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__WORK_FOLDER", "/mnt/scratch")

    settings = Settings.load()

    assert (settings.page_size, settings.work_folder) == (500, "/mnt/scratch")


@pytest.mark.parametrize("name", ["max_in_flight", "lock_seconds"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_number_that_makes_no_sense_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW__BRAZE_BLUECONIC__{name.upper()}", value)

    with pytest.raises(ValueError, match=rf"\[braze_blueconic\] {name} must be a number above 0"):
        Settings.load()


def test_how_long_a_write_takes_to_show_is_a_setting_of_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__BLUECONIC_SETTLE_SECONDS", "0")

    settings = Settings.load()

    assert settings.settles_in == {"braze": dt.timedelta(minutes=5), "blueconic": dt.timedelta(0)}


@pytest.mark.parametrize(
    "name", ["braze_settle_seconds", "blueconic_settle_seconds", "lock_gap_seconds", "wait_for_goal_minutes"]
)
def test_a_time_can_not_be_less_than_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW__BRAZE_BLUECONIC__{name.upper()}", "-1")

    with pytest.raises(ValueError, match=rf"\[braze_blueconic\] {name} must be a number of 0 or more; it is -1"):
        Settings.load()


@pytest.mark.parametrize(
    ("base_url", "execution_url", "known_as"),
    [
        ("https://airflow.acme.example", "", "https://airflow.acme.example"),
        ("https://airflow.acme.example/", "http://localhost:8080/execution/", "https://airflow.acme.example"),
        ("", "http://airflow-apiserver:8080/execution/", "http://airflow-apiserver:8080/execution"),
        ("https://me:secret@airflow.acme.example", "", "airflow.acme.example"),
        ("", "", "on this-machine"),
        ("http://localhost:8080", "", "http://localhost:8080 on this-machine"),
    ],
)
def test_an_airflow_is_told_from_others_by_where_its_api_is(
    base_url: str, execution_url: str, known_as: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", execution_url)
    monkeypatch.setattr("socket.gethostname", lambda: "this-machine")

    assert this_airflow() == known_as
