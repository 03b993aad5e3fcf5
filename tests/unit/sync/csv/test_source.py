from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import GoalError, LimitExceeded, TransientError
from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.sync.blueconic.snapshot import write_snapshot
from airflow_provider_braze_blueconic.sync.csv import records, row_parts
from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.source import read_csv_files
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_snapshot
from airflow_provider_braze_blueconic.sync.plans.export_reads import properties_to_read
from airflow_provider_braze_blueconic.sync.plans.to_braze import mapping_plan
from tests.support.core import day, engine, read_rows
from tests.support.csv_road import Bucket
from tests.support.staging import LocalFile, LocalStaging

SECRET = "planted@example.com"


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)


def problems(bucket: Bucket, **how: Any) -> list[str]:
    with pytest.raises(GoalError) as caught:
        bucket.read(**how)
    return [str(problem).replace(str(bucket.home / "in") + "/", "") for problem in caught.value.problems]


def rejects(snapshot: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(snapshot["rejects_uri"]).read_text().splitlines()]


def test_a_row_becomes_a_row_of_a_snapshot(bucket: Bucket) -> None:
    file = bucket.put("a.csv", "id,ignored,city\np1,x,Amsterdam\n", modified=day(3))

    snapshot = bucket.read()

    assert bucket.rows(snapshot) == [
        {
            "row": 0,
            "profile_id": None,
            "as_of": day(3),
            "last_modified": day(3),
            "permission_level": None,
            "segment_ids": None,
            "segment_names": None,
            "interaction_names": None,
            "consented": None,
            "property_id": ["p1"],
            "property_city": ["Amsterdam"],
        }
    ]
    assert {name: snapshot[name] for name in snapshot if name not in ("uri", "bytes")} == {
        "profiles": 1,
        "segment_id": "",
        "segment_name": str(bucket.home / "in" / "*.csv"),
        "segment_size": None,
        "read": "files",
        "complete": False,
        "as_of": day(3).isoformat(),
        "property_types": {},
        "files": 1,
    }
    listed = json.loads((Path(snapshot["uri"]) / "files.json").read_text())
    assert [(entry["uri"], entry["size"], entry["rows"], entry["broken"]) for entry in listed] == [
        (str(file), 31, 1, 0)
    ]


def test_columns_are_those_of_a_segments_snapshot(bucket: Bucket, tmp_path: Path) -> None:
    schemas = []
    write_snapshot(
        [], properties=["id", "Größe"], interaction_names=None, as_of=day(1), folder=tmp_path / "x",
        publish=lambda path: schemas.append(pq.read_schema(path)) or 1, label="x",
    )  # fmt: skip
    bucket.put("a.csv", "id,Größe\n1,2\n")

    snapshot = bucket.read(columns=["id", "Größe"])

    assert pq.read_schema(Path(snapshot["uri"]) / "part-00000.parquet").equals(schemas[0])


@pytest.mark.parametrize(
    ("text", "city"),
    [
        ('id,city\np1,"a,b"\n', ["a,b"]),
        ('id,city\np1,"say ""hi"""\n', ['say "hi"']),
        ('id,city\np1,"two\nlines"\n', ["two\nlines"]),
        ('id,city\np1,"two\r\nlines"\r\n', ["two\r\nlines"]),
        ('id,city\np1,"  edge  "\n', ["  edge  "]),
        ("id,city\np1,  bare  \n", ["  bare  "]),
        ("id,city\np1,Zoë 王 🎈\n", ["Zoë 王 🎈"]),
        ("\ufeffid,city\np1,x\n", ["x"]),
        ('\ufeff"id",city\np1,x\n', ["x"]),
        ("id,city\np1,\n", None),
        ('id,city\np1,""\n', None),
        ("id,city\np1,x", ["x"]),
        ("id,city\r\np1,x\r\n", ["x"]),
        ("id,city\rp1,x\r", ["x"]),
        ("\n\nid,city\n\np1,x\n\n\n", ["x"]),
        (" id , city \np1,x\n", ["x"]),
        ("\xa0id\u200b,\ufeffcity\u3000\np1,x\n", ["x"]),
        ("id,city,\np1,x,\n", ["x"]),
        ("id,city\np1,a|b\n", ["a|b"]),
        ("id,city\np1,it's 5\" wide\n", ["it's 5\" wide"]),
    ],
    ids=["delimiter", "quotes", "line-break", "crlf-inside", "edge-spaces", "bare-spaces", "unicode", "bom",
         "bom-before-quote", "empty", "quoted-empty", "no-last-line-break", "crlf", "cr", "blank-lines",
         "spaces-round-names", "unicode-spaces-round-names", "column-without-name", "no-separator", "quote-inside-bare-value"],
)  # fmt: skip
def test_values_are_read_as_they_were_meant(bucket: Bucket, text: str, city: list[str] | None) -> None:
    bucket.put("a.csv", text)

    snapshot = bucket.read()

    assert bucket.values(snapshot) == [(["p1"], city)]
    assert "broken_lines" not in snapshot


@pytest.mark.parametrize(
    ("cell", "values"),
    [("a|b", ["a", "b"]), ("a||b|", ["a", "b"]), ("|", None), ("a", ["a"]), ("", None), ('"a,1|b ""2"""', ["a,1", 'b "2"'])],
)  # fmt: skip
def test_a_cell_of_several_values_is_split(bucket: Bucket, cell: str, values: list[str] | None) -> None:
    bucket.put("a.csv", f"id,city\np1,{cell}\n")

    assert bucket.values(bucket.read(multi_value_separator="|")) == [(["p1"], values)]


def test_another_delimiter_can_be_set(bucket: Bucket) -> None:
    bucket.put("a.csv", "id\tcity\np1\ta,b\n")

    assert bucket.values(bucket.read(delimiter="\t")) == [(["p1"], ["a,b"])]


def test_a_compressed_file_is_known_by_its_first_bytes(bucket: Bucket) -> None:
    bucket.put("packed.csv", gzip.compress(b"id,city\np1,A\n"), modified=day(1))
    bucket.put("plain.csv.gz", "id,city\np2,B\n", modified=day(2))

    assert bucket.values(bucket.read("*.csv*")) == [(["p1"], ["A"]), (["p2"], ["B"])]


@pytest.mark.parametrize(
    ("content", "people"),
    [
        (gzip.compress(b"id,city\np1,A\n") + gzip.compress(b"id,city\np2,B\n"), [("p1", "A"), ("p2", "B")]),
        (b"id,city\r\np1,A\r\n\xef\xbb\xbfid,city\r\np2,B\r\n", [("p1", "A"), ("p2", "B")]),
        (b'id,city\np1,A\n"id", city \np2,B\n"id","city"\n', [("p1", "A"), ("p2", "B")]),
        (b"id,city\np1,A\ncity,id\nB,p2\n", [("p1", "A"), ("p2", "B")]),
        (b"id,city\nid,city\n", []),
        (b"id,city\nid,Ede\ncity,city\n", [("id", "Ede"), ("city", "city")]),
    ],
    ids=["gz", "with marks", "quoted and spaced", "in another order", "nothing else", "a person who is called so"],
)
def test_the_column_names_of_files_that_were_joined_are_no_person(
    bucket: Bucket, content: bytes, people: list[tuple[str, str]]
) -> None:
    bucket.put("joined.csv", content)

    snapshot = bucket.read()

    assert bucket.values(snapshot) == [([id_], [city]) for id_, city in people]
    assert "broken_lines" not in snapshot


def test_the_mark_of_a_folder_is_not_the_file_that_is_required(tmp_path: Path) -> None:
    class WithMarker(LocalStaging):
        def list_objects(self, prefix_uri: str) -> Sequence[LocalFile]:
            return [LocalFile(f"{tmp_path}/in/", 0, day(1)), *super().list_objects(prefix_uri)]

    bucket = Bucket(tmp_path, WithMarker())

    with pytest.raises(TransientError, match="0 other files match the pattern"):
        bucket.read("*", required=True)


def test_files_may_order_their_columns_as_they_like(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,city\np1,A\n", modified=day(1))
    bucket.put("b.csv", "more,city,id\nx,B,p2\n", modified=day(2))

    assert bucket.values(bucket.read()) == [(["p1"], ["A"]), (["p2"], ["B"])]


def test_a_column_that_the_goal_does_not_name_is_taken_along_where_it_is_there(bucket: Bucket) -> None:
    bucket.put("a.csv", "id\np1\n", modified=day(1))
    bucket.put("b.csv", "id,city\np2,B\n", modified=day(2))

    snapshot = bucket.read(columns={"id": "identifiers[0].blueconic", "city": ""})

    assert bucket.values(snapshot) == [(["p1"], None), (["p2"], ["B"])]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("id,City,name", ['place of city: a.csv has no column "city". Nearest: "City".']),
        (
            "ids,citi",
            [
                'place of id: a.csv has no column "id". Nearest: "ids".',
                'place of city: a.csv has no column "city". Nearest: "citi".',
            ],
        ),
        ("id,city,id", ['source.s3_csv: a.csv has more than one column named "id".']),
        (
            "id;city",
            ["source.delimiter: a.csv has only one column. It seems to be delimited by ';': set source.delimiter."],
        ),
        ('"id"x,city', ["source.s3_csv: a.csv: the header can't be read: ',' expected after '\"'."]),
    ],
    ids=["case", "both", "twice", "delimiter", "broken"],
)
def test_wrong_columns_are_told_before_anything_is_read(bucket: Bucket, header: str, expected: list[str]) -> None:
    bucket.put("a.csv", f"{header}\np1,{SECRET},x\n")

    assert problems(bucket) == expected
    assert not list((bucket.home / "staging").rglob("part-*.parquet"))


def test_wrong_columns_of_several_files_are_told_at_once(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,town\n", modified=day(1))
    bucket.put("b.csv", "id,city\n", modified=day(2))
    bucket.put("c.csv", "nr,city\n", modified=day(3))

    assert problems(bucket) == [
        'place of city: a.csv has no column "city".',
        'place of id: c.csv has no column "id".',
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,city\np1,A\np2,Caf\xe9\n", "a.csv: line 3 isn't UTF-8. Have the files written in UTF-8."),
        ("id,city\n".encode("utf-16"), "a.csv: line 1 isn't UTF-8. Have the files written in UTF-8."),
        (
            gzip.compress(b"id,city\n" + b"p1,A\n" * 9_000)[:-20],
            "a.csv: is compressed and incomplete or damaged. Have it written again.",
        ),
        (
            gzip.compress(b"id,city\np1,Caf\xe9\n"),
            "a.csv: line 2 isn't UTF-8. Have the files written in UTF-8.",
        ),
    ],
    ids=["latin-1", "utf-16", "cut-off", "packed-latin-1"],
)
def test_a_file_that_can_not_be_read_as_a_whole_says_where(bucket: Bucket, content: bytes, message: str) -> None:
    bucket.put("a.csv", content)

    assert problems(bucket) == [f"source.s3_csv: {message}"]


def test_rows_of_another_length_are_kept_apart_with_their_place_and_the_rest_goes_on(bucket: Bucket) -> None:
    file = bucket.put("a.csv", 'id,city\np1,A\np2\np3,"x\ny",z\np4,B\n')

    snapshot = bucket.read(broken_percent=50.0)

    assert bucket.values(snapshot) == [(["p1"], ["A"]), (["p4"], ["B"])]
    assert snapshot["broken_lines"] == 2
    assert rejects(snapshot) == [
        {"file": str(file), "line": 3, "error": "1 fields where the header has 2", "text": "p2\n"},
        {"file": str(file), "line": 4, "error": "3 fields where the header has 2", "text": 'p3,"x\ny",z\n'},
    ]


@pytest.mark.promise(1)
def test_a_quote_that_is_never_closed_costs_its_own_line_and_no_other(bucket: Bucket) -> None:
    rows = [f"p{number},C{number}" for number in range(1, 8)]
    rows[2] = 'p3,"never closed'
    rows[4] = 'p5,"closed"too early'
    bucket.put("a.csv", "id,city\n" + "\n".join(rows) + "\n")

    snapshot = bucket.read(broken_percent=50.0)

    assert [row[0] for row in bucket.values(snapshot)] == [["p1"], ["p2"], ["p4"], ["p6"], ["p7"]]
    assert [(reject["line"], reject["text"]) for reject in rejects(snapshot)] == [
        (4, 'p3,"never closed\n'),
        (6, 'p5,"closed"too early\n'),
    ]


def test_a_cell_without_an_end_is_given_up_at_a_size(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_LARGEST_CELL", 1_000)
    bucket.put("a.csv", 'id,city\np1,"open\n' + "".join(f"p{number},C\n" for number in range(2, 900)))
    before = csv.field_size_limit()

    snapshot = bucket.read(broken_percent=50.0)

    assert snapshot["profiles"] == 898
    assert rejects(snapshot)[0]["error"] == "field larger than field limit (1000)"
    assert csv.field_size_limit() == before


def test_a_value_larger_than_pythons_own_limit_is_read(bucket: Bucket) -> None:
    bucket.put("a.csv", f"id,city\np1,{'x' * 300_000}\n")

    assert bucket.values(bucket.read()) == [(["p1"], ["x" * 300_000])]


@pytest.mark.promise(8)
def test_too_many_broken_rows_end_the_run_and_the_message_holds_no_value(bucket: Bucket) -> None:
    bucket.put("a.csv", f"id,city\np1,A\n{SECRET}\n")

    with pytest.raises(LimitExceeded) as caught:
        bucket.read(broken_percent=49.0)

    message = str(caught.value).replace(str(bucket.home / "in") + "/", "")
    assert message.startswith(
        "goal: 1 of 2 rows can't be read (50.0 %), such as line 3 of a.csv: 1 fields where the header has 2. They are all in "
    )
    assert message.endswith("That is more than source.broken_percent = 49. Nothing was sent.")
    assert SECRET not in message
    assert len(list((bucket.home / "staging").rglob("rejects.jsonl"))) == 1


def test_few_broken_rows_are_a_warning(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    bucket.put("a.csv", "id,city\n" + "p,C\n" * 199 + f"{SECRET}\n")

    snapshot = bucket.read()

    assert (snapshot["profiles"], snapshot["broken_lines"]) == (199, 1)
    assert "1 of 200 rows can't be read (0.5 %)" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("content", ["id,city\n", "id,city", "", "\ufeff", "\n\n"])
def test_a_file_without_rows_is_a_snapshot_without_rows(bucket: Bucket, content: str) -> None:
    bucket.put("a.csv", content, modified=day(2))

    snapshot = bucket.read()

    assert bucket.rows(snapshot) == []
    assert (snapshot["profiles"], snapshot["files"], snapshot["as_of"]) == (0, 1, day(2).isoformat())


@pytest.mark.promise(1)
def test_a_run_without_a_file_is_a_snapshot_that_knows_nothing(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    snapshot = bucket.read(logical_date=day(5))

    assert bucket.rows(snapshot) == []
    assert not snapshot["complete"]
    # Were it as new as the run, a file that comes late would look old beside it and not be sent.
    assert snapshot["as_of"] == "1970-01-01T00:00:00+00:00"
    assert "no file to read for" in caplog.text
    assert pq.read_schema(Path(snapshot["uri"]) / "part-00000.parquet").names[-2:] == ["property_id", "property_city"]


def test_a_required_file_that_is_not_there_is_waited_for(bucket: Bucket) -> None:
    bucket.put("people_2026-11-04.csv", "id,city\n")
    bucket.put("people_2026-11-05.csv.done", "id,city\n")

    with pytest.raises(TransientError) as caught:
        bucket.read("people_%Y-%m-%d.csv", logical_date=day(5), required=True)

    assert str(caught.value) == (
        f"goal: there is no file of 2026-11-05 for {bucket.home}/in/people_%Y-%m-%d.csv, but the goal says "
        "required: true. 1 other files match the pattern. 1 more end in .done, because earlier runs read them. "
        "Check that BlueConic's connection ran, and where it writes."
    )


def test_a_file_that_goes_away_meanwhile_is_worth_another_try(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("a.csv", "id,city\n")
    download = bucket.staging.download_file

    def late(uri: str, local: Path) -> int:
        Path(uri).unlink()
        return download(uri, local)

    monkeypatch.setattr(bucket.staging, "download_file", late)

    with pytest.raises(TransientError, match="was removed during the read"):
        bucket.read()


def test_rows_are_gathered_into_parts_across_files(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,city\n" + "".join(f"a{number},C\n" for number in range(5)), modified=day(1))
    bucket.put("b.csv", "id,city\n" + "".join(f"b{number},C\n" for number in range(4)), modified=day(2))

    snapshot = bucket.read(rows_per_part=4)

    parts = sorted(Path(snapshot["uri"]).glob("*.parquet"))
    assert [pq.read_metadata(part).num_rows for part in parts] == [4, 4, 1]
    assert [row["row"] for row in bucket.rows(snapshot)] == list(range(9))
    assert [row["as_of"] for row in bucket.rows(snapshot)] == [day(1)] * 5 + [day(2)] * 4


def test_long_rows_fill_a_part_too(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_parts, "_BYTES_PER_PART", 100)
    bucket.put("a.csv", "id,city\n" + f"p,{'x' * 60}\n" * 4)

    snapshot = bucket.read()

    assert len(list(Path(snapshot["uri"]).glob("*.parquet"))) == 2


def test_no_local_file_is_left_behind(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,city\np1\np2,A\n")

    bucket.read(broken_percent=100.0)

    assert list((bucket.home / "local").iterdir()) == []


def test_of_several_rows_about_one_person_the_latest_file_and_in_it_the_last_row_counts(
    bucket: Bucket, tmp_path: Path
) -> None:
    identifiers = [ExportIdentifier(blueconic="id", braze="external_id")]
    fields = [ExportField.model_validate({"from": "property.city", "to": "home_city"})]
    bucket.put("people_2026-11-04_z.csv", "id,city\np1,Old\np2,Only here\n", modified=day(20))
    bucket.put("people_2026-11-05_b.csv", "id,city\np1,First\np1,Second\n", modified=day(6))
    bucket.put("people_2026-11-05_a.csv", "id,city\np1,Third\n", modified=day(7))

    snapshot = bucket.read(
        "people_%Y-%m-%d_*.csv", logical_date=day(5), columns=properties_to_read(identifiers, fields)
    )

    plan = mapping_plan(identifiers, fields, property_types={}, clear_missing=False, objectives=[], partitions=1)
    counts = map_snapshot(engine(tmp_path), sorted(Path(snapshot["uri"]).glob("*.parquet")), plan, tmp_path / "mapped")
    rows = read_rows((tmp_path / "mapped").glob("partition=*/*.parquet"))
    assert [(row["field_home_city"], row["as_of"]) for row in rows] == [('"Third"', day(5)), ('"Only here"', day(4))]
    assert counts.skipped == {"same_person_twice": 3}


def test_a_read_that_is_told_to_stop_ends_after_the_part_in_hand(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,city\n" + "p,C\n" * 10)
    asked: list[int] = []

    snapshot = read_csv_files(
        bucket.workspace,
        CsvReading(FilePattern.parse(f"{bucket.home}/in/*.csv")),
        source=bucket.staging,
        columns={"id": "x"},
        logical_date=dt.datetime(2026, 11, 5, tzinfo=dt.UTC),
        rows_per_part=2,
        should_stop=lambda: bool(asked.append(1)) or len(asked) == 2,
    )

    assert snapshot["profiles"] == 4


def test_half_a_character_costs_nobody_the_file_and_is_counted(bucket: Bucket) -> None:
    rows = ["id,city\n", "p1,A\n", "p2,half \ud83d\n", "p3,\ud83d\ude00\n"]
    bucket.put("a.csv", "".join(rows).encode(errors="surrogatepass"))

    snapshot = bucket.read()

    assert [city for _, city in bucket.values(snapshot)] == [["A"], ["half \ufffd"], ["😀"]]
    assert snapshot["repaired"] == 2


def test_half_a_character_in_a_broken_row_or_a_column_name_is_repaired_too(bucket: Bucket) -> None:
    bucket.put("a.csv", "id,city,\ud83d\np1,A,x\np2,\ude00\n".encode(errors="surrogatepass"))

    snapshot = bucket.read(columns=["id", "\ufffd"], broken_percent=50)

    assert [list(row.values())[-2:] for row in bucket.rows(snapshot)] == [[["p1"], ["x"]]]
    assert [reject["text"] for reject in rejects(snapshot)] == ["p2,\ufffd\n"]


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "first",
    [
        f"{SECRET},{SECRET},Amsterdam",
        f"{SECRET},citi,Amsterdam",
        f"cityy,{SECRET}",
        "Jane,Jane,planted street 5",
        "planted",
    ],
)
def test_a_file_without_column_names_begins_with_a_person_who_is_not_shown(bucket: Bucket, first: str) -> None:
    bucket.put("a.csv", f"{first}\n{first}\n")

    found = problems(bucket)

    assert found[0] == (
        "source.s3_csv: a.csv seems to have no header. Have it written with one. Its first line isn't shown, "
        "because it may contain personal data."
    )
    assert not [cell for cell in first.split(",") if cell in "".join(found)]
