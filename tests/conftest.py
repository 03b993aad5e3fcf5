"""Airflow reads its settings at import, so they are set before any test module is imported."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

import botocore.session
from hypothesis import settings

_home = Path(tempfile.mkdtemp(prefix="braze-blueconic-tests-"))
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = str(_home)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(_home / "dags")
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_home / 'airflow.db'}"
# Between two steps of a killed run the next one must not have to wait. Tests that kill shorten the other as well.
os.environ["AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS"] = "30"
os.environ["AIRFLOW__BRAZE_BLUECONIC__LOCK_GAP_SECONDS"] = "0"
os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")

# Every task and many a test makes a client of its own, for which boto parses megabytes: a quarter of a run's time.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

# What passed today passes tomorrow. ``--hypothesis-profile=search`` looks elsewhere each time; ``make chaos`` does.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("repeatable")
