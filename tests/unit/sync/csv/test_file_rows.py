"""The rows of files, whichever road they take: compared with a reader that knows no fast one."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.exceptions import GoalError
from airflow_provider_braze_blueconic.sync.csv import careful_rows, file_bytes, file_rows, records, row_parts
from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern
from airflow_provider_braze_blueconic.sync.csv.file_rows import FileRows
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.parts_beside import PartsBeside
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.row_parts import RowParts
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects
from airflow_provider_braze_blueconic.sync.values.characters import repaired, repaired_text
from airflow_provider_braze_blueconic.sync.values.space import trimmed
from tests.support.core import day

COLUMNS = ("id", "city")
FILE = CsvFile("s3://bucket/a.csv", 1, day(1), None)


@dataclass
class Read:
    """What reading a file came to."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[tuple[int, str, str]] = field(default_factory=list)
    repaired: int = 0
    fault: str = ""


class _Kept(PartWriter):
    """Keeps the parts instead of writing them."""

    def __init__(self) -> None:
        super().__init__(Path(), lambda _: 0)
        self.tables: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        table.validate(full=True)
        self.tables.append(table)


def read(content: bytes, *, delimiter: str = ",", separator: str | None = None, rows_per_part: int = 50_000) -> Read:
    """Read a file as the product does."""
    found, kept = Read(), _Kept()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(content)
        rejects = Rejects(Path(folder) / "rejects.jsonl")
        reading = CsvReading(FilePattern.parse("x"), delimiter=delimiter, multi_value_separator=separator)
        with records.large_cells(), PartsBeside(kept) as beside, rejects:
            parts = RowParts(COLUMNS, beside, rows_per_part=rows_per_part)
            try:
                list(
                    FileRows(reading, dict.fromkeys(COLUMNS, "place"), parts, rejects).read(FILE, path, only_look=False)
                )
            except GoalError as error:
                return Read(fault=str(error))
            parts.flush()
        if rejects.count:
            lines = map(json.loads, rejects.path.read_text().split("\n")[:-1])
            found.rejects = [(line["line"], line["error"], line["text"]) for line in lines]
    table = pa.concat_tables(kept.tables)
    assert table["row"].to_pylist() == list(range(parts.rows))
    assert [len(part) for part in kept.tables[:-1]] == [rows_per_part] * (len(kept.tables) - 1)
    found.rows = list(zip(*(table[f"property_{name}"].to_pylist() for name in COLUMNS), strict=True))
    found.repaired = parts.repaired
    return found


def read_plainly(content: bytes, *, delimiter: str = ",", separator: str | None = None) -> Read:
    """Read a file a record at a time, with Python's modules and nothing else.

    A broken record costs its first line, so the reading goes on behind that.
    """
    found = Read()
    try:
        with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="surrogatepass", newline="") as text:
            lines = list(text)
    except UnicodeDecodeError:
        number = next(number for number, line in enumerate(content.split(b"\n"), 1) if not _is_text(line))
        return Read(fault=f"source.s3_csv: {FILE.uri}: line {number} isn't UTF-8. Have the files written in UTF-8.")
    header: list[str] = []
    order: list[str] = []
    at = 0
    while at < len(lines):
        taken = iter(lines[at:])
        reader = csv.reader(taken, delimiter=delimiter, strict=True)
        try:
            row = next(reader)
        except csv.Error as error:
            found.rejects.append((at + 1, str(error), repaired_text(lines[at])))
            at += 1
            continue
        count = reader.line_num
        names = [trimmed(repaired_text(cell)) for cell in row]
        if not row:
            pass
        elif not header:
            header = order = names
        elif sorted(names) == sorted(header):
            order = names
        elif len(row) != len(header):
            error = f"{len(row)} fields where the header has {len(header)}"
            found.rejects.append((at + 1, error, repaired_text("".join(lines[at : at + count]))))
        else:
            cells = [row[order.index(name)] for name in COLUMNS]
            values = [
                [part for part in (cell.split(separator) if separator else [cell]) if part] or None for cell in cells
            ]
            whole = [repaired(value) for value in values]
            found.repaired += whole != values
            found.rows.append(tuple(whole))
        at += count
    return found


def _is_text(line: bytes) -> bool:
    try:
        line.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def cuts(block: int) -> Iterator[None]:
    """Cut files into small pieces everywhere."""
    with (
        mock.patch.object(file_bytes, "_READ_BYTES", max(1, block // 2)),
        mock.patch.object(file_rows, "_BLOCK_BYTES", block),
        mock.patch.object(row_parts, "_BYTES_AT_ONCE", block * 2),
    ):
        yield


CELLS = st.sampled_from(
    ["", "a", "p1", "id", "city", " id ", "Zoë 王", "🎈", "a|b", "|", "'", " ", "\t", ";", "\ufeffid", '"', '5" wide', "\x0b", "\x85", "x" * 40]
)  # fmt: skip
QUOTED = st.sampled_from(
    ['""', '"a\rb"', '"a,b"', '"two\nlines"', '"two\r\nlines"', '"say ""hi"""', '"id"', '"city"', '" id "', '"|"']
)
ODD = st.sampled_from(['"open', '"a"b', "a\0b", '"a\0"', "\ud83d", "x\ud83d\ude00", '"', '""a', "\r", "a\rb"])
ENDS = st.sampled_from(["\n"] * 8 + ["\r\n"] * 4 + ["\n\n", "\r", "\n\r\n", "\r\r\n"])
PLAIN_ROWS = st.lists(CELLS | QUOTED, min_size=2, max_size=2)
ROWS = st.one_of(
    PLAIN_ROWS, PLAIN_ROWS, PLAIN_ROWS, st.lists(CELLS | QUOTED | ODD, max_size=4), st.permutations(["id", "city"])
)


def _encoded(lines: list[tuple[list[str], str]], delimiter: str) -> bytes:
    text = "".join(delimiter.join(row) + end for row, end in lines)
    return text.encode(errors="surrogatepass")


@given(
    lines=st.lists(st.tuples(ROWS, ENDS), max_size=40),
    header=st.sampled_from(["id,city\n", "\ufeffid,city\r\n", '\n"city",id\n', "id,city\r"]),
    tail=st.sampled_from([b"", b"", b"p9,x", b'"', b"p9,\xff\n", b"\xc3", b"\r"]),
    delimiter=st.sampled_from([",", ",", ";", "\t", "|", "¦"]),
    separator=st.sampled_from([None, "|", "||", "a"]),
    block=st.integers(min_value=1, max_value=200),
    rows_per_part=st.sampled_from([1, 3, 1_000]),
    largest=st.sampled_from([1_000_000, 30]),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_both_roads_read_the_same_rows_and_refuse_the_same(
    lines: list[tuple[list[str], str]],
    header: str,
    tail: bytes,
    delimiter: str,
    separator: str | None,
    block: int,
    rows_per_part: int,
    largest: int,
) -> None:
    content = header.replace(",", delimiter).encode() + _encoded(lines, delimiter) + tail

    with mock.patch.object(records, "_LARGEST_CELL", largest), cuts(block):
        found = read(content, delimiter=delimiter, separator=separator, rows_per_part=rows_per_part)
        with records.large_cells():
            assert found == read_plainly(content, delimiter=delimiter, separator=separator)


@given(
    content=st.lists(
        st.sampled_from(
            [b'"', b",", b"\n", b"\r", b"id", b"city", b"a", b"\0", "é".encode(), b"\xed\xa0\xbd", b" ", b"|"]
        ),
        max_size=60,
    ).map(b"".join),
    block=st.integers(min_value=1, max_value=40),
    separator=st.sampled_from([None, "|"]),
)
@settings(max_examples=300, deadline=None)
def test_both_roads_agree_on_whatever_bytes_follow_the_header(
    content: bytes, block: int, separator: str | None
) -> None:
    content = b"id,city\n" + content

    with cuts(block):
        assert read(content, separator=separator) == read_plainly(content, separator=separator)


CLEAN = {
    "plain": "p1,Amsterdam\np2,\n,Ede\n",
    "carriage returns": "p1,Amsterdam\r\np2,\r\n",
    "quoted": '"p1","Amsterdam"\n"p2",""\n',
    "delimiters inside": 'p1,"Amsterdam, NL"\n"a,b",Ede\n',
    "quotes inside": 'p1,"say ""hi"""\np2,5" wide\n',
    "lines inside": 'p1,"two\nlines"\np2,"two\r\nlines"\n',
    "empty lines": "p1,Ede\n\n\r\np2,Ede\n",
    "other alphabets": "Zoë,王 🎈\n",
    "space": " p1 ,\tEde\x0b\n",
    "called like a column": "identity,city hall\ncity,id of it\n",
}


@pytest.mark.parametrize("block", [64, 100_000])
@pytest.mark.parametrize("lines", CLEAN.values(), ids=CLEAN)
def test_a_clean_file_is_read_without_a_look_at_single_records(
    lines: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = f"id,city\n{lines * 500}".encode()
    monkeypatch.setattr(careful_rows.CarefulRows, "take", lambda _: pytest.fail("a record was read carefully"))

    with cuts(block):
        found = read(content)

    assert found == read_plainly(content)
    assert len(found.rows) >= 500


@pytest.mark.parametrize(
    "odd",
    [
        "p2",
        "p2,Ede,x",
        'p2,"Ede"x',
        "p2,E\rde",
        'p2,"E\rde"',
        "p2,\ud83d",
        "p2,\0",
        "id,city",
        "city,id",
        '"id","city"',
    ],
)
def test_an_odd_record_sends_no_other_down_the_careful_road(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["id,city", *["p1,Ede"] * 1_000, odd, *["p3,Ede"] * 1_000, ""]
    content = "\n".join(lines).encode(errors="surrogatepass")
    taken: list[int] = []
    take = careful_rows.CarefulRows.take
    monkeypatch.setattr(careful_rows.CarefulRows, "take", lambda self: taken.append(1) or take(self))

    found = read(content)

    assert found == read_plainly(content)
    assert len(taken) <= 2  # "E\rde" is two


@pytest.mark.promise(1)
@pytest.mark.parametrize("beside", ["", "p3\n"], ids=["in a clean block", "beside a broken row"])
def test_a_cell_that_is_too_large_is_refused_on_the_fast_road_too(beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_LARGEST_CELL", 30)
    content = f"id,city\np1,{'x' * 40}\np2,Ede\n{beside}".encode()

    found = read(content)

    assert found.rows == [(["p2"], ["Ede"])]
    assert found.rejects[0] == (2, "field larger than field limit (30)", f"p1,{'x' * 40}\n")


@pytest.mark.parametrize(
    "content",
    [
        "id,city\r" + "p1,Ede\rp2\r" * 3_000,
        'id,city\np1,"never closed\n' + "p2,Ede\n" * 3_000,
        "id,city," + ",".join(f"c{number}" for number in range(600)) + "\n" + f"p1,Ede{',x' * 600}\np2\n" * 20,
        'id,city,"two\nlines"\n' + 'p1,Ede,x\nid,city,"two\nlines"\n' * 20,
        "id,city,,\n" + "p1,Ede,,\n,,id,city\n,,,\n" * 20,
        'id,city,"a ""b"""\n' + 'p1,Ede,x\n"a ""b""",city,id\n' * 20,
        "id,city\n" + "x" * 3_000 + ",Ede\np2,Ede\n",
    ],
    ids=["carriage returns", "open quote", "wide", "a name of two lines", "columns without names", "a name with quotes", "a long line"],
)  # fmt: skip
@pytest.mark.parametrize("block", [700, 1_000_000])
def test_files_that_leave_the_fast_road_are_read_alike(content: str, block: int) -> None:
    with cuts(block):
        assert read(content.encode()) == read_plainly(content.encode())


def test_a_compressed_file_of_many_blocks_is_read() -> None:
    content = b"id,city\n" + b"p1,Ede\np2\n" * 5_000

    with cuts(1_000):
        assert read(gzip.compress(content)) == read_plainly(content)


def test_a_byte_order_mark_that_is_cut_off_is_an_empty_file() -> None:
    assert read(b"\xef\xbb").rows == []
