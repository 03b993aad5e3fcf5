"""The files of a segment's export become a snapshot, whatever they are packed in and whatever is broken in them."""

from __future__ import annotations

import gzip
import io
import json
import logging
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, SyncError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.braze import segment_export, segment_export_lines, segment_export_parts
from airflow_provider_braze_blueconic.sync.braze.segment_export import ExportCounts, write_export_snapshot
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import read_lines
from airflow_provider_braze_blueconic.sync.store.parts import Progress
from tests.support.core import day


def line(number: int = 0, **fields: Any) -> bytes:
    return json.dumps({"braze_id": f"b{number}", **fields}, ensure_ascii=False).encode() + b"\n"


def zipped(*entries: bytes, folder: bool = False) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        if folder:
            archive.writestr("users/", b"")
        for number, entry in enumerate(entries):
            archive.writestr(f"users-{number}.json", entry)
    return packed.getvalue()


class Export:
    """An export on disk, and the snapshot that it becomes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.published: dict[str, bytes] = {}
        self.parts: list[list[dict[str, Any]]] = []
        self._files = 0

    def file(self, content: bytes, name: str | None = None) -> tuple[str, Path]:
        self._files += 1
        path = self.folder / f"file-{self._files}"
        path.write_bytes(content)
        return name or f"part-{self._files}.gz", path

    def read(self, *contents: bytes, **how: Any) -> ExportCounts:
        return self.read_files([self.file(content) for content in contents], **how)

    def read_files(self, files: Iterable[tuple[str, Path]], **how: Any) -> ExportCounts:
        def publish(path: Path) -> int:
            self.published[path.name] = path.read_bytes()
            if path.suffix == ".parquet":
                self.parts.append(pq.read_table(path).to_pylist())
            return 1_000

        how = {
            "paths": ["email"],
            "remaining": False,
            "excluded": (),
            "campaign_names": None,
            "broken_percent": 100,
            **how,
        }
        return write_export_snapshot(
            files, as_of=day(3), folder=self.folder / "local", publish=publish, label="goal", **how
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for part in self.parts for row in part]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    @property
    def fields(self) -> dict[str, Any]:
        found = json.loads(self.published["fields.json"])
        assert isinstance(found, dict)
        return found

    @property
    def rejects(self) -> list[dict[str, Any]]:
        # Not splitlines(), which also splits at U+2028.
        return [json.loads(entry) for entry in self.published["rejects.jsonl"].decode().split("\n") if entry]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


def test_a_user_becomes_a_row(export: Export) -> None:
    counts = export.read(line(1, email="zoë@example.com", custom_attributes={"tags": ["a", "b"]}, phone="1"),
                         paths=["email", "custom_attributes.tags", "external_id"])  # fmt: skip

    assert export.rows == [
        {
            "row": 0,
            "profile_id": "b1",
            "as_of": day(3),
            "last_modified": None,
            "consented": None,
            "source_email": ["zoë@example.com"],
            "source_custom_attributes_x2e_tags": ["a", "b"],
            "source_external_id": None,
        }
    ]
    assert export.fields == {"sources": ["email", "custom_attributes.tags", "external_id"], "remaining": {}}
    assert counts == ExportCounts(1, 1, 1, 0, 1_000, None, stopped=False)


def test_the_types_of_the_columns_do_not_depend_on_the_values(export: Export, tmp_path: Path) -> None:
    export.read(line(), line(email=None))

    (tmp_path / "part").write_bytes(export.published["part-00000.parquet"])
    schema = pq.read_schema(tmp_path / "part")
    texts, moment = pa.list_(pa.string()), pa.timestamp("us", tz="UTC")
    assert dict(zip(schema.names, schema.types, strict=True)) == {
        "row": pa.int64(),
        "profile_id": pa.string(),
        "as_of": moment,
        "last_modified": moment,
        "consented": texts,
        "source_email": texts,
    }


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ('"007"', ["007"]),
        ("1e21", ["1000000000000000000000"]),
        ("12.50", ["12.5"]),
        ("-0.0", ["0"]),
        ("9007199254740993", ["9007199254740993"]),
        ("true", ["true"]),
        ('""', [""]),
        ("null", None),
        ("[]", []),
        (r'"say \"hi\"\r\nnext line"', ['say "hi"\r\nnext line']),
        ('"line\u2028separator\u0085"', ["line\u2028separator\u0085"]),
        (r'"\u00e9\u2028"', ["é\u2028"]),
        (r'"nul\u0000"', ["nul\0"]),
        (r'"\ud83d\ude00"', ["😀"]),
        (r'"half an emoji \ud83d"', ["half an emoji \ufffd"]),
    ],
)
def test_a_value_keeps_what_it_is(export: Export, value: str, texts: list[str] | None) -> None:
    export.read(f'{{"braze_id":"b","custom_attributes":{{"x":{value}}}}}\n'.encode(), paths=["custom_attributes.x"])

    assert export.column("source_custom_attributes_x2e_x") == [texts]


@pytest.mark.parametrize("name", ["users.gz", "users.zip", "users.json", "users"])
@pytest.mark.parametrize("pack", [gzip.compress, zipped, bytes], ids=["gzip", "zip", "plain"])
def test_how_a_file_is_packed_is_told_by_its_content_and_not_by_its_name(export: Export, pack: Any, name: str) -> None:
    content = line(1) + line(2)

    export.read_files([export.file(pack(content), name)])

    assert export.column("profile_id") == ["b1", "b2"]


def test_an_archive_may_have_several_entries_and_a_stream_several_members(export: Export) -> None:
    archive = zipped(line(1) + line(2).rstrip(), line(3), folder=True)
    stream = gzip.compress(line(4)) + gzip.compress(line(5))

    export.read(archive, stream)

    assert export.column("profile_id") == ["b1", "b2", "b3", "b4", "b5"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n\r\n \n", id="blank lines"),
        pytest.param(gzip.compress(b""), id="gzip of nothing"),
        pytest.param(zipped(), id="zip without entries"),
        pytest.param(zipped(b""), id="zip of an empty entry"),
        pytest.param(b"\xef\xbb\xbf", id="byte order mark"),
    ],
)
def test_a_file_may_be_empty(export: Export, content: bytes) -> None:
    counts = export.read(content, line(1))

    assert export.column("profile_id") == ["b1"]
    assert (counts.files, counts.lines, counts.broken_lines) == (2, 1, 0)


def test_an_empty_segment_is_a_snapshot_with_columns_and_without_rows(export: Export) -> None:
    counts = export.read(remaining=True)

    assert export.parts == [[]]
    assert export.fields == {"sources": ["email"], "remaining": {}}
    assert counts.profiles == 0


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + line(1) + line(2),
        line(1).replace(b"\n", b"\r\n") + b"\r\n" + line(2),
        line(1) + b"\n\n" + line(2).rstrip(),
        zipped(b"\xef\xbb\xbf" + line(1), b"\xef\xbb\xbf" + line(2)),
    ],
    ids=["byte order mark", "windows line ends", "blank lines, no last line end", "marks in an archive"],
)
def test_what_surrounds_a_line_is_not_a_part_of_it(export: Export, content: bytes) -> None:
    counts = export.read(content)

    assert export.column("profile_id") == ["b1", "b2"]
    assert counts.broken_lines == 0


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (b'{"braze_id":"b1" x', "not JSON: Expecting ',' delimiter at character 18"),
        (b"braze_id,email", "not JSON: Expecting value at character 1"),
        (b'{"braze_id":"b1"}{"braze_id":"b2"}', "not JSON: Extra data at character 18"),
        (b'{"braze_id":"b1","n":NaN}', "not JSON: a number that no system can hold"),
        (b'{"braze_id":"b1","n":1e400}', "not JSON: a number that no system can hold"),
        (b'{"braze_id":"b1","n":' + b"9" * 5_000 + b"}", "not JSON: a number that no system can hold"),
        (b'{"braze_id":"b1","n":"\xff"}', "not UTF-8 at byte 23"),
        (b'{"braze_id":"b1","n":"a\tb"}', "not JSON: Invalid control character at at character 24"),
        (b'[{"braze_id":"b1"}]', "not an object"),
        (b'"b1"', "not an object"),
        (b"null", "not an object"),
        (b"{}", "no braze_id"),
        (b'{"braze_id":null}', "no braze_id"),
        (b'{"braze_id":" "}', "no braze_id"),
        (b'{"braze_id":17}', "no braze_id"),
        (b'{"braze_id":"b1","n":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_broken_line_is_counted_and_kept_with_its_place_and_the_rest_goes_on(
    export: Export, broken: bytes, error: str
) -> None:
    counts = export.read(line(1), b"\n" + line(2) + broken + b"\r\n" + line(3))

    assert export.column("profile_id") == ["b1", "b2", "b3"]
    assert (counts.lines, counts.broken_lines, counts.rejects) == (4, 1, "rejects.jsonl")
    text = broken.decode("utf-8", "backslashreplace")
    assert export.rejects == [{"file": "part-2.gz", "line": 3, "error": error, "text": text}]


def test_a_line_in_an_archive_of_several_entries_has_its_place_there(export: Export) -> None:
    export.read(zipped(line(1), line(2) + b"broken\n"), zipped(b"broken\n"))

    assert [(entry["file"], entry["line"]) for entry in export.rejects] == [
        ("part-1.gz/users-1.json", 2),
        ("part-2.gz", 1),
    ]


def test_a_value_that_is_nested_too_deeply_leaves_no_half_a_row(export: Export) -> None:
    # Deep enough to be read as JSON and too deep to be written again, on every Python.
    for depth in (500, 900, 2_000, 4_000, 8_000):
        deep = (
            b'{"braze_id":"deep","email":"x","custom_attributes":{"x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
        )
        export.read(line(1, email="a") + deep + b"\n" + line(2, email="b"), paths=["email", "custom_attributes.x.a"])

    kept = [row for row in export.rows if row["profile_id"] != "deep"]
    assert [row["source_email"] for row in kept] == [["a"], ["b"]] * 5


def test_more_broken_lines_than_allowed_end_the_run_and_are_kept_all_the_same(export: Export) -> None:
    contents = [line(number) for number in range(98)] + [b"secret,zoe@example.com\n", b"x\n"]

    with pytest.raises(LimitExceeded) as caught:
        export.read(b"".join(contents), broken_percent=1.9, uri="s3://staging/snapshot-1/")

    assert str(caught.value) == (
        "goal: 2 of 100 lines of the segment export (2 %) aren't users, such as line 99 of part-1.gz: not JSON: "
        "Expecting value at character 1; line 100 of part-1.gz: not JSON: Expecting value at character 1. They "
        "are all in s3://staging/snapshot-1/rejects.jsonl. At most 1.9 % may be broken: check whether something "
        "else writes into the folder of the segment export, and export the segment again, or raise "
        "source.broken_percent. Nothing was sent."
    )
    assert [entry["text"] for entry in export.rejects] == ["secret,zoe@example.com", "x"]
    assert "fields.json" not in export.published


def test_as_many_broken_lines_as_allowed_are_a_warning(export: Export, caplog: pytest.LogCaptureFixture) -> None:
    contents = [line(number) for number in range(98)] + [b"zoe@example.com\n"] * 2

    counts = export.read(b"".join(contents), broken_percent=2)

    assert (counts.profiles, counts.broken_lines) == (98, 2)
    assert "2 of 100 lines of the segment export (2 %) aren't users, such as" in caplog.text
    assert "rejects.jsonl beside the snapshot" in caplog.text
    assert "zoe@" not in caplog.text


def test_without_broken_lines_there_is_no_file_of_them(export: Export) -> None:
    counts = export.read(line(), broken_percent=0)

    assert counts.rejects is None
    assert sorted(export.published) == ["fields.json", "part-00000.parquet"]


@pytest.mark.parametrize("cut", [1, 8, 20, 60])
@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
def test_a_file_that_ends_too_early_may_be_whole_later(export: Export, pack: Any, cut: int) -> None:
    content = pack(b"".join(line(number, email=f"{number * 7919}@example.com") for number in range(100)))

    with pytest.raises(TransientError, match=r"^export/a\.gz ends too early: .* Try again"):
        export.read_files([export.file(content[:-cut], "export/a.gz")])


def test_a_damaged_file_is_named(export: Export) -> None:
    content = b"".join(line(number, email=f"{number * 7919}@example.com") for number in range(500))
    packed, archive = bytearray(gzip.compress(content)), bytearray(zipped(content))
    packed[200:210] = archive[200:210] = bytes(10)

    for damaged in (bytes(packed), bytes(archive), gzip.compress(content) + b"something else"):
        with pytest.raises(UnexpectedAnswer, match=r"^export/a\.gz is damaged, or compressed in an unreadable way"):
            export.read_files([export.file(damaged, "export/a.gz")])


def test_an_encrypted_archive_is_named(export: Export) -> None:
    archive = bytearray(zipped(line()))
    archive[6] |= 1  # the flag of the entry
    archive[archive.index(b"PK\x01\x02") + 8] |= 1  # and in the table of entries

    with pytest.raises(UnexpectedAnswer, match="is encrypted"):
        export.read(bytes(archive))


def test_lines_of_a_local_file_can_be_read_alone(export: Export) -> None:
    _, path = export.file(gzip.compress(b"a\nb"))

    assert list(read_lines(path)) == [b"a\n", b"b"]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SyncError, match=r"^file-1 ends too early"):
        list(read_lines(path))


def test_a_line_of_any_length_takes_no_more_than_the_longest_line(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_export_lines, "_LONGEST_LINE", 1 << 16)
    _, path = export.file(gzip.compress(line(1) + b'{"braze_id":"' + b"x" * 50_000_000 + b'"}\n' + line(2)))

    tracemalloc.start()
    lines = list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [len(each) for each in lines] == [len(line(1)), 1 << 16, len(line(2))]
    assert peak < 8 << 20
    export.read_files([("a", path)])
    assert export.column("profile_id") == ["b1", "b2"]
    assert [entry["line"] for entry in export.rejects] == [2]


def test_one_file_after_the_other_is_read_and_can_be_removed(export: Export) -> None:
    asked: list[str] = []

    def files() -> Iterator[tuple[str, Path]]:
        for number in range(3):
            name, path = export.file(line(number))
            asked.append(f"{name} after {len(list(export.folder.glob('file-*'))) - 1} others")
            yield name, path
            path.unlink()

    counts = export.read_files(files())

    assert asked == ["part-1.gz after 0 others", "part-2.gz after 0 others", "part-3.gz after 0 others"]
    assert counts.files == 3


def test_rows_are_numbered_in_reading_order_over_all_files_and_parts(export: Export) -> None:
    contents = [b"".join(line(3 * file + number) for number in range(3)) for file in range(5)]

    counts = export.read(*contents, rows_per_part=6)

    assert [len(part) for part in export.parts] == [6, 6, 3]
    assert export.column("row") == list(range(15))
    assert export.column("profile_id") == [f"b{number}" for number in range(15)]
    assert (counts.profiles, counts.bytes) == (15, 3_000)
    assert list((export.folder / "local").iterdir()) == []


def test_the_same_user_twice_is_two_rows_of_which_the_later_has_the_higher_number(export: Export) -> None:
    export.read(line(1, email="old"), line(2) + line(1, email="new"))

    assert [(row["row"], row["profile_id"], row["source_email"]) for row in export.rows] == [
        (0, "b1", ["old"]),
        (1, "b2", None),
        (2, "b1", ["new"]),
    ]


@pytest.mark.parametrize(("limit", "value"), [("_PART_BYTES", 100), ("_PART_CELLS", 6)])
def test_a_part_ends_early_when_lines_are_long_or_fields_are_many(
    export: Export, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(segment_export_parts, limit, value)

    users = [line(number, custom_attributes={"a": 1, "b": "x" * 40}) for number in range(4)]
    export.read(users[0] + users[1], users[2] + users[3], remaining=True)

    assert [len(part) for part in export.parts] == [2, 2]
    assert export.column("row") == [0, 1, 2, 3]


def test_a_user_with_thousands_of_attributes_does_not_widen_the_rows_before(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_export_parts, "_PART_CELLS", 20_000)
    wide = line(1, custom_attributes={f"attribute {number}": number for number in range(1_000)})
    narrow = b"".join(line(number, email="a") for number in range(10))

    export.read(*[narrow] * 20, narrow + wide, *[narrow] * 20, remaining=True)

    cells = [len(part) * sum(name.startswith("source_") for name in part[0]) for part in export.parts]
    assert max(cells) < 21_100
    assert [len(part) for part in export.parts] == [200, 20, 191]
    assert export.column("row") == list(range(411))
    assert len(export.fields["remaining"]) == 1_001


def test_remaining_fields_are_those_that_no_path_reads_and_nobody_excluded(export: Export) -> None:
    user = {
        "email": "zoe@example.com",
        "country": "NL",
        "phone": "+31",
        "random_bucket": 5,
        "devices": [{"model": "Pixel"}],
        "purchases": [{"name": "sku1", "count": 2}],
        "push_tokens": [{"token": "secret-token"}],
        "campaigns_received": [{"name": "Welcome"}],
        "canvases_received": [{"name": "Onboarding"}],
        "cards_clicked": [{"name": "Card"}],
        "custom_attributes": {"tags": ["a"], "points": 5, "a.b": "x", "address": {"city": "Utrecht"}, "gone": None},
    }

    export.read(
        line(1, **user),
        paths=["email", "devices.model", 'custom_attributes["tags"]'],
        remaining=True,
        excluded=["phone", "custom_attributes.address.city"],
    )

    assert export.fields == {
        "sources": ["email", "devices.model", 'custom_attributes["tags"]'],
        "remaining": {
            "braze_id": {"kinds": ["text"]},
            "country": {"kinds": ["text"]},
            'custom_attributes["a.b"]': {"kinds": ["text"]},
            "custom_attributes.points": {"kinds": ["integer"]},
            "purchases": {"kinds": ["object"]},
            "random_bucket": {"kinds": ["integer"]},
        },
    }
    (row,) = export.rows
    assert {name: value for name, value in row.items() if name.startswith("source_")} == {
        "source_email": ["zoe@example.com"],
        "source_devices_x2e_model": ["Pixel"],
        "source_custom_attributes_x5b__x22_tags_x22__x5d_": ["a"],
        "source_braze_id": ["b1"],
        "source_country": ["NL"],
        "source_custom_attributes_x5b__x22_a_x2e_b_x22__x5d_": ["x"],
        "source_custom_attributes_x2e_points": ["5"],
        "source_purchases": ['{"count":2,"name":"sku1"}'],
        "source_random_bucket": ["5"],
    }
    assert b"secret-token" not in b"".join(export.published.values())


def test_push_tokens_and_what_was_received_only_come_where_a_row_names_them(export: Export) -> None:
    export.read(
        line(1, push_tokens=[{"app": "Shop"}], campaigns_received=[{"name": "Welcome", "api_campaign_id": "c-1"}]),
        paths=["push_tokens.app", "campaigns_received"],
        remaining=True,
        campaign_names={"c-1": "Welcome to all"},
    )

    assert export.column("source_push_tokens_x2e_app") == [["Shop"]]
    assert export.column("source_campaigns_received") == [["Welcome to all"]]
    assert list(export.fields["remaining"]) == ["braze_id"]


def test_a_remaining_field_may_appear_late_and_in_one_part_only(export: Export) -> None:
    export.read(
        line(1) + line(2),
        line(3) + line(4, custom_attributes={"late": "x"}),
        line(5, custom_attributes={"late": ["y", "z"], "later": True}) + line(6),
        rows_per_part=2,
        remaining=True,
        excluded=["braze_id"],
    )

    late, later = "source_custom_attributes_x2e_late", "source_custom_attributes_x2e_later"
    assert [[row.get(late, "-") for row in part] for part in export.parts] == [
        ["-", "-"],
        [None, ["x"]],
        [["y", "z"], None],
    ]
    assert [row.get(later, "-") for row in export.parts[2]] == [["true"], None]
    assert export.fields["remaining"] == {
        "custom_attributes.late": {"kinds": ["text"]},
        "custom_attributes.later": {"kinds": ["boolean"]},
    }


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (["1", "-2147483647", "2147483647"], ["integer"]),
        (["2147483648"], ["big_integer"]),
        (["1", "-99999999999999999999"], ["integer", "big_integer"]),
        (["1.5", "12.1234", "3.0", "1e21"], ["float"]),
        (["0.12345", "1.0"], ["float", "long_float"]),
        (["1e-7"], ["long_float"]),
        (["true", "1"], ["integer", "boolean"]),
        (['"2020-07-10 15:00:00.000 UTC"', '"2021-06-28T17:02:43.032Z"', '"2021-06-28T17:02:43+02:00"'], ["time"]),
        (['"2026-01-15 12:00:00 +0100"', '"2021-06-28T17:02:43,5 Z"'], ["time"]),
        (['"2021-06-28"'], ["text"]),
        (['"2021-02-30T17:02:43Z"'], ["text"]),
        (['"2021-13-28T17:02:43Z"'], ["text"]),
        (['"007"'], ["text"]),
        (['"2021-06-28T17:02:43Z"', '"never"'], ["time", "text"]),
        (['["a", 1, null, true]'], ["integer", "boolean", "text"]),
        (['["2021-06-28T17:02:43Z"]'], ["time"]),
        (['{"a": 1}'], ["object"]),
        (["[[1]]"], ["object"]),
        (['[{"a": 1}]'], ["object"]),
        (['""', "[]", '" "'], []),
        (['""', "5"], ["integer"]),
    ],
)
def test_the_kinds_of_a_remaining_field_are_those_of_all_its_values(
    export: Export, values: list[str], kinds: list[str]
) -> None:
    lines = [f'{{"braze_id":"b","custom_attributes":{{"x":{value}}}}}\n'.encode() for value in values]

    export.read(b"".join(lines), paths=[], remaining=True, excluded=["braze_id"], rows_per_part=1)

    assert export.fields["remaining"] == {"custom_attributes.x": {"kinds": kinds}}


def test_a_null_is_not_a_remaining_field(export: Export) -> None:
    export.read(line(1, country=None, custom_attributes={"x": None}), remaining=True, excluded=["braze_id"])

    assert export.fields["remaining"] == {}


@pytest.mark.parametrize("odd", [None, [], "text", 5])
def test_custom_attributes_that_are_none_are_passed_over(export: Export, odd: object) -> None:
    counts = export.read(line(1, custom_attributes=odd), paths=["custom_attributes.x"], remaining=True)

    assert counts.profiles == 1
    assert export.column("source_custom_attributes_x2e_x") == [None]


@pytest.mark.promise(6)
def test_a_read_that_is_told_to_stop_says_so_and_asks_for_no_further_file(export: Export) -> None:
    asked: list[int] = []

    def files() -> Iterator[tuple[str, Path]]:
        for number in range(10):
            asked.append(number)
            yield export.file(line(number) + b"broken\n")

    counts = export.read_files(files(), should_stop=lambda: len(asked) == 2, broken_percent=0)

    assert asked == [0, 1]
    assert counts.stopped
    assert counts.profiles == 2


@pytest.mark.promise(6)
def test_a_long_file_is_left_in_its_middle(export: Export) -> None:
    counts = export.read(b"".join(line(number) for number in range(2_500)), should_stop=lambda: True)

    assert counts.stopped
    assert counts.profiles == 1_000


def test_progress_is_told_every_ten_seconds(
    export: Export, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moment = 100.0
    monkeypatch.setattr(segment_export, "Progress", lambda: Progress(lambda: moment))

    def files() -> Iterator[tuple[str, Path]]:
        nonlocal moment
        for _ in range(4):
            moment += 6
            yield export.file(b"broken\n" + b"".join(line(number) for number in range(999)))

    with caplog.at_level(logging.INFO):
        export.read_files(files())

    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        "goal: 1,998 people read from 2 files, 166/s, 2 broken lines",
        "goal: 3,996 people read from 4 files, 166/s, 4 broken lines",
    ]


def test_no_value_of_a_person_is_logged(export: Export, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        export.read(line(1, email="zoe@example.com") + b'{"email":"zoe@example.com"}\n' + b"zoe@example.com\n")

    assert caplog.records
    assert "zoe@" not in caplog.text


def test_users_with_half_a_character_are_repaired_and_counted(export: Export) -> None:
    half = rb'{"braze_id":"b2","email":"x\ud83d","custom_attributes":{"key\ude00":"v"}}' + b"\n"
    as_bytes = '{"braze_id":"b3","email":"y\ud83d"}\n'.encode(errors="surrogatepass")

    counts = export.read(
        line(1, email="a"),
        half,
        as_bytes,
        rb'{"braze_id":"b4","email":"\ud83d\ude00"}',
        paths=["email"],
        remaining=True,
    )

    assert export.column("source_email") == [["a"], ["x\ufffd"], ["y\ufffd"], ["😀"]]
    assert 'custom_attributes["key\ufffd"]' in str(export.fields["remaining"]) or "key\ufffd" in str(export.fields)
    assert (counts.profiles, counts.broken_lines, counts.repaired) == (4, 0, 2)
