from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("module", ["blueconic", "braze", "staging"])
def test_importing_a_hook_does_not_import_what_a_dag_file_need_not_wait_for(module: str) -> None:
    program = (
        "import sys\n"
        "from airflow.providers.common.compat.sdk import BaseHook, conf, mask_secret\n"
        "before = set(sys.modules)\n"
        f"import airflow_provider_braze_blueconic.hooks.{module}\n"
        "heavy = {'aiohttp', 'boto3', 'botocore', 'deltalake', 'duckdb', 'pyarrow'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[]"
