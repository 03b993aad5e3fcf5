from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.exceptions import GoalError
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal, LeaversSet
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.loaded import BrokenGoal, LoadedGoal
from airflow_provider_braze_blueconic.goals.loading import load_folder, load_goal, validate_paths

from .conftest import EXPORT, IMPORT

ROOT = Path(__file__).parents[3]
Write = Callable[..., Path]
Problems = Callable[[str], list[str]]


def test_example_goal_of_the_project_loads() -> None:
    loaded = load_goal(ROOT / "dags" / "goals" / "vip_to_braze.yaml")

    assert isinstance(loaded.goal, ExportGoal)
    assert loaded.goal.staging == "s3://sandbox-sync/braze-blueconic"
    assert [field.kind for field in loaded.goal.fields][-5:] == [
        "profile_id",
        "segments",
        "interactions",
        "permission_level",
        "value",
    ]


def test_import_goal_loads(write: Write) -> None:
    goal = load_goal(write(IMPORT)).goal

    assert isinstance(goal, ImportGoal)
    assert (goal.match, goal.allow_creation, goal.remaining_fields) == ("any", False, None)


def test_every_key_and_list_item_has_its_line(write: Write) -> None:
    text = EXPORT + "objectives: [newsletter]\nleavers:\n  set:\n    vip: false\nlimits: {data_points: 5}\n"

    lines = load_goal(write(text)).origin.lines

    expected = {
        "": 1,
        "source.segment": 4,
        "identifiers[0]": 6,
        "identifiers[0].blueconic": 6,
        "fields": 7,
        "fields[0]": 8,
        "fields[1].from": 9,
        "objectives[0]": 10,
        "leavers.set.vip": 13,
        "limits.data_points": 14,
    }
    assert {path: lines[path] for path in expected} == expected


def test_path_that_is_not_written_has_the_line_around_it(write: Write) -> None:
    origin = load_goal(write(EXPORT)).origin

    assert origin.line("fields[1].type") == 9
    assert origin.line("limits.data_points") == 1
    assert str(origin.problem("fields[1].from", "no such property.")) == "goal.yaml:9 fields[1].from: no such property."


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("007", "007"),
        ("-01", "-01"),
        ("1_000", "1_000"),
        ("2026-11-30", "2026-11-30"),
        ("12:30:45", "12:30:45"),
        ("7", 7),
        ("'7'", "7"),
        ("!!str 7", "7"),
        ("=", "="),
        ("1.5", 1.5),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("True", True),
    ],
)
def test_scalars_stay_what_the_author_wrote(write: Write, written: str, value: object) -> None:
    goal = load_goal(write(f"{EXPORT}  - {{value: {written}, to: agent}}\n")).goal

    assert isinstance(goal, ExportGoal)
    assert goal.fields[2].value == value
    assert type(goal.fields[2].value) is type(value)


def test_several_mistakes_are_reported_at_once_by_line(problems: Problems) -> None:
    text = EXPORT.replace("VIP customers", "VIP, raed: full").replace("vip_to_braze", "vip to braze")

    found = problems(text + "  - {from: propertey.x, to: First_Name, type: integr}\nsend: all\n")

    assert [line.split(": ")[0] for line in found] == [
        "2 id",
        "4 source.raed",
        "10 fields[2].from",
        "10 fields[2].to",
        "10 fields[2].type",
        "11 send",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", " is empty; expected a goal."),
        ("# only a comment\n", " is empty; expected a goal."),
        ("- goal: export\n", "1: expected the keys of a goal (goal, id, source, …); found a list."),
        ("goal: export\n\tid: x\n", "2: found a tab; expected spaces for the indentation."),
        ("schedule: @daily\n", '1: found text that begins with "@"; put it in quotes.'),
        (
            "goal: export\nname: a: b\n",
            "2: found a colon where none can be; expected another indentation, or quotes around text that "
            'contains ": ".',
        ),
        ("a: {b: 1\nc: 2\n", '2: expected "," or "}" before this (in what begins in line 1).'),
        ('a: "b\n', "2: found the end of the file; expected a closing quote (in what begins in line 1)."),
        ("a: 1\n---\nb: 1\n", "2: found a second document; expected one goal in a file (in what begins in line 1)."),
        ("a: *b\n", '1: found "*b" without an anchor "&b"; put text with "*" in quotes.'),
        ("a: \x01\n", "1: contains a control character that YAML doesn't allow."),
    ],
)
def test_text_that_is_no_goal_at_all_is_one_problem(problems: Problems, text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_key_that_is_there_twice_names_both_lines(problems: Problems) -> None:
    assert problems(EXPORT + "id: other\n") == ["10 id: is there twice; the first one is in line 2."]


def test_tags_and_keys_that_are_no_text_are_refused(problems: Problems) -> None:
    found = problems(EXPORT + "name: !secret x\n? [a]\n: 1\n")

    assert found == [
        '10 name: has the tag "!secret"; tags are not used in goal files.',
        "11: has a list or a mapping as a key; expected text.",
    ]


def test_alias_of_itself_ends(problems: Problems) -> None:
    assert "10 labels[0]: is an alias for something that contains it." in problems(EXPORT + "labels: &a [*a]\n")


def test_nested_aliases_do_not_fill_the_memory(problems: Problems) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert problems("\n".join(levels)) == [" holds more than 20,000 values, or values that are nested too deeply."]


def test_aliases_can_be_used(write: Write) -> None:
    text = EXPORT.replace("{segment: VIP customers}", "{segment: &vip VIP customers}") + "name: *vip\n"

    assert load_goal(write(text)).goal.name == "VIP customers"


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "goal.yaml"
    path.write_bytes(b"goal: export\nname: caf\xe9\n")

    with pytest.raises(GoalError, match=r"^goal\.yaml:2: is not UTF-8 text\.$"):
        load_goal(path)


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "goal.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + EXPORT.encode())

    assert load_goal(path).goal.id == "vip_to_braze"


def test_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(GoalError, match=r"^none\.yaml: can't be read: no such file or directory\.$"):
        load_goal(tmp_path / "none.yaml")


def test_error_survives_pickling(write: Write) -> None:
    with pytest.raises(GoalError) as caught:
        load_goal(write(""))

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_folder_gives_good_and_broken_goals_by_file_name(write: Write, tmp_path: Path) -> None:
    write(IMPORT, "b.yml")
    write(EXPORT + "nmae: x\nlabels: [crm]\nschedule: '0 2 * * 5L'\n", "a.yaml")
    write("not a goal", "readme.txt")
    write("not a goal", ".hidden.yaml")

    broken, good = load_folder(tmp_path)

    assert isinstance(good, LoadedGoal)
    assert isinstance(broken, BrokenGoal)
    assert (broken.file, broken.id, broken.labels, broken.schedule) == (
        "a.yaml",
        "vip_to_braze",
        ("crm",),
        "0 2 * * L5",
    )
    assert str(broken.problems[0]) == 'a.yaml:10 nmae: there is no such key here. Nearest: "name".'


def test_second_file_with_the_same_id_is_broken_and_has_no_id(write: Write, tmp_path: Path) -> None:
    write(EXPORT, "a.yaml")
    write(IMPORT.replace("test_users_to_blueconic", "vip_to_braze"), "b.yaml")

    first, second = load_folder(tmp_path)

    assert isinstance(first, LoadedGoal)
    assert isinstance(second, BrokenGoal)
    assert second.id is None
    assert [str(problem) for problem in second.problems] == [
        'b.yaml:2 id: "vip_to_braze" is already the id of a.yaml; each goal needs its own.'
    ]


def test_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GoalError, match="goals: can't be listed: no such file or directory"):
        load_folder(tmp_path / "goals")


def test_validate_takes_files_and_folders_as_one_set(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "c.yaml").write_text(EXPORT)
    (tmp_path / "empty").mkdir()

    found = validate_paths([write(EXPORT, "a.yaml"), folder, tmp_path / "empty", tmp_path / "none.yaml"])

    assert [str(problem) for problem in found] == [
        f"{tmp_path / 'empty'}: holds no goal file (.yaml, .yml).",
        'c.yaml:2 id: "vip_to_braze" is already the id of a.yaml; each goal needs its own.',
        "none.yaml: can't be read: no such file or directory.",
    ]


def test_validate_of_good_goals_finds_nothing() -> None:
    assert validate_paths([ROOT / "dags" / "goals"]) == []


def test_long_values_are_not_repeated_in_messages(problems: Problems) -> None:
    found = problems(EXPORT + f"send: {'x' * 5000}\nnotify: {{email: [{'y' * 5000}]}}\n")

    assert len(found) == 2
    assert all(len(line) < 250 for line in found)


@pytest.mark.parametrize("text", [EXPORT.replace("export", "exprot", 1), IMPORT.replace("merge", "x")[:-8], "a: 1"])
def test_messages_are_free_of_the_library_s_words(problems: Problems, text: str) -> None:
    found = "\n".join(problems(text + "\npartitions: x\nlimits: 3\nfields: 4\nlabels: {a: 1}\n"))

    assert found
    assert not any(word in found.lower() for word in ("pydantic", "input should", "http", "value error", "validator"))


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_KEYS = st.sampled_from(
    ["from", "to", "value", "type", "as", "braze", "blueconic", "alias_label", "merge", "of", "segment", "set", "when"]
)
_VALUES = st.recursive(
    _SCALARS | st.sampled_from(["email", "segments", "property.x", "sum", "user_alias", "full", "braze_id"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    direction=st.sampled_from(["export", "import"]),
    values=st.dictionaries(
        st.sampled_from(
            ["source", "identifiers", "fields", "leavers", "limits", "notify", "upload", "objectives", "deliver"]
        ),
        _VALUES,
    ),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_comes_back_as_sentences(direction: str, values: dict[str, object]) -> None:
    from airflow_provider_braze_blueconic.goals.validation import validate_goal

    outcome = validate_goal({"goal": direction, "id": "x", "staging": "s3://bucket", **values})

    if isinstance(outcome, list):
        assert outcome
        assert all(finding.message.endswith((".", '"')) for finding in outcome)


def test_names_that_may_be_a_mistake_are_hints_of_a_goal_that_loads(write: Write) -> None:
    loaded = load_goal(write(EXPORT + "  - {from: property.born, to: birthday}\nleavers: {set: {avatar: null}}\n"))

    assert [str(hint) for hint in loaded.hints] == [
        'goal.yaml:10 fields[2].to: "birthday" becomes a custom attribute. Did you mean "dob"?',
        'goal.yaml:11 leavers.set.avatar: "avatar" becomes a custom attribute. Did you mean "image_url"?',
    ]
    assert load_goal(write(IMPORT)).hints == ()


def test_leavers_can_be_set_to_values(write: Write) -> None:
    goal = load_goal(write(EXPORT + "leavers: {set: {vip: false, tier: null}}\n")).goal

    assert isinstance(goal, ExportGoal)
    assert isinstance(goal.leavers, LeaversSet)
    assert goal.leavers.set == {"vip": False, "tier": None}


def test_loading_imports_neither_airflow_nor_heavy_libraries() -> None:
    code = (
        "import sys; import airflow_provider_braze_blueconic.goals.loading as loading; "
        "from pathlib import Path; loading.load_goal(Path(sys.argv[1])); "
        "heavy = {'airflow', 'duckdb', 'pyarrow', 'deltalake', 'aiohttp'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "dags" / "goals" / "vip_to_braze.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
