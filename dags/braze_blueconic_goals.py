"""One dag for each goal file in the folder beside this file."""

from pathlib import Path

from airflow_provider_braze_blueconic.goals import load_goals

globals().update(load_goals(Path(__file__).parent / "goals"))
