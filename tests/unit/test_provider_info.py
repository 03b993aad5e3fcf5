from __future__ import annotations

import importlib
import importlib.metadata
import json
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_provider_braze_blueconic import exceptions
from airflow_provider_braze_blueconic.get_provider_info import get_provider_info
from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from airflow_provider_braze_blueconic.hooks.connection_form import DRAWN_FROM_METADATA, field_behaviour, form_widgets

AIRFLOW_FOLDER = Path(airflow.__file__).parent


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((AIRFLOW_FOLDER / name).read_text())
    return loaded


def test_metadata_fits_airflows_runtime_schema() -> None:
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


@pytest.mark.parametrize("part", ["connection-types", "config"])
def test_connection_types_and_settings_fit_airflows_developer_schema(part: str) -> None:
    whole = schema("provider.yaml.schema.json")
    part_schema = {**whole["properties"][part], "definitions": whole.get("definitions", {})}
    if part == "connection-types" and "conn-fields" not in part_schema["items"]["properties"]:
        pytest.skip("this Airflow does not describe conn-fields yet")

    jsonschema.validate(get_provider_info()[part], part_schema)


@pytest.mark.parametrize("kind", ["hooks", "operators", "triggers"])
def test_every_module_named_in_the_metadata_is_there(kind: str) -> None:
    root = Path(exceptions.__file__).parents[1]
    modules = [module for entry in get_provider_info()[kind] for module in entry["python-modules"]]

    missing = [module for module in modules if not (root / (module.replace(".", "/") + ".py")).is_file()]

    assert missing == []


def test_hooks_and_metadata_agree_on_type_and_name() -> None:
    for entry in get_provider_info()["connection-types"]:
        module, _, name = entry["hook-class-name"].rpartition(".")
        hook = getattr(importlib.import_module(module), name)
        assert (hook.conn_type, hook.hook_name) == (entry["connection-type"], entry["hook-name"])
        assert hook.default_conn_name == f"{hook.conn_type}_default"
        assert hook.conn_name_attr == f"{hook.conn_type}_conn_id"


@pytest.mark.parametrize("module", ["", ".get_provider_info", ".exceptions"])
def test_what_airflow_imports_while_it_starts_needs_the_standard_library_alone(module: str) -> None:
    program = f"""
import sys
before = set(sys.modules)
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {{"airflow_provider_braze_blueconic"}}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
sys.modules["airflow"] = None
import airflow_provider_braze_blueconic{module} as loaded
if hasattr(loaded, "get_provider_info"):
    loaded.get_provider_info()
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(sorted(new - set(sys.stdlib_module_names) - {{"airflow_provider_braze_blueconic", "airflow"}}))
"""

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(exceptions.__file__).parents[1], capture_output=True, text=True
    )

    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "[]", "")


PROBLEM = exceptions.Problem("fields[1].from", "no such property", "vip.yaml", 14)


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_error_survives_pickling(name: str) -> None:
    kind = getattr(exceptions, name)
    original = {exceptions.Problem: PROBLEM, exceptions.GoalError: exceptions.GoalError([PROBLEM])}.get(kind)
    original = kind("what, where, what to change") if original is None else original

    copy = pickle.loads(pickle.dumps(original))

    assert type(copy) is kind
    assert str(copy) == str(original)
    assert getattr(copy, "problems", None) == getattr(original, "problems", None)


def test_every_error_is_exported() -> None:
    defined = {
        name for name, value in vars(exceptions).items() if getattr(value, "__module__", "") == exceptions.__name__
    }

    assert sorted(defined) == sorted(exceptions.__all__)


def installed() -> None:
    names = {entry.value for entry in importlib.metadata.entry_points(group="apache_airflow_provider")}
    wanted = "airflow_provider_braze_blueconic.get_provider_info:get_provider_info"
    assert wanted in names, "install the package (editable will do), so that Airflow finds its entry point"


def test_airflow_finds_the_provider_by_its_entry_point() -> None:
    installed()
    from airflow.providers_manager import ProvidersManager

    provider = ProvidersManager().providers["airflow-provider-braze-blueconic"]

    assert provider.data["name"] == "Braze and BlueConic"


def form(conn_type: str) -> Any:
    """Read the form the way this Airflow's UI does: 3.3 from the metadata alone, 3.0 from the hook's methods."""
    installed()
    if not DRAWN_FROM_METADATA:
        pytest.importorskip("wtforms", reason="without it Airflow 3.0 and 3.1 draw no provider's form")
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    return next(hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == conn_type)


def test_braze_form_asks_for_an_endpoint_and_a_key() -> None:
    braze = form("braze")

    assert braze.hook_name == "Braze"
    assert braze.hook_class_name == "airflow_provider_braze_blueconic.hooks.braze.BrazeHook"
    assert (braze.standard_fields.host.title, braze.standard_fields.password.title) == ("REST endpoint", "REST API key")
    assert [braze.standard_fields.login.hidden, braze.standard_fields.port.hidden] == [True, True]
    assert braze.standard_fields.url_schema.hidden
    assert list(braze.extra_fields) == ["ca_file"]
    assert braze.extra_fields["ca_file"]["schema"]["title"] == "CA file"


def test_blueconic_form_asks_for_a_tenant_and_client_credentials() -> None:
    blueconic = form("blueconic")

    fields = blueconic.standard_fields
    titles = [fields.host.title, fields.login.title, fields.password.title]
    assert blueconic.hook_name == "BlueConic"
    assert titles == ["Tenant", "Client id", "Client secret"]
    assert not fields.login.hidden
    assert [fields.port.hidden, fields.url_schema.hidden] == [True, True]


@pytest.mark.parametrize("hook", [BrazeHook, BlueConicHook])
def test_hook_has_form_methods_only_where_airflow_draws_the_form_from_them(
    hook: type[BrazeHook | BlueConicHook],
) -> None:
    own = {"get_ui_field_behaviour", "get_connection_form_widgets"} & set(vars(hook))

    assert own == (set() if DRAWN_FROM_METADATA else {"get_ui_field_behaviour", "get_connection_form_widgets"})


def test_form_methods_say_what_the_metadata_says(monkeypatch: pytest.MonkeyPatch) -> None:
    wtforms = types.ModuleType("wtforms")
    wtforms.StringField = lambda label, description: (label, description[:4])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wtforms", wtforms)

    assert field_behaviour("braze")["hidden_fields"] == ["login", "port", "schema"]
    assert field_behaviour("blueconic")["relabeling"]["login"] == "Client id"
    assert form_widgets("braze") == {"ca_file": ("CA file", "Path")}


def test_airflow_knows_the_settings_section() -> None:
    installed()
    from airflow.providers_manager import ProvidersManager

    sections = dict(ProvidersManager().provider_configs)["airflow-provider-braze-blueconic"]

    assert sections["braze_blueconic"]["options"]["page_size"]["default"] == "2000"
