"""Files of records: any string in any cell comes out as it went in, and a record that cannot be used is named."""

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd import ODD

from dataset_prep.lines import Reader
from dataset_prep.sheets import SAMPLE, Sheet, bare_sheet, open_sheet
from recbole_cllm4rec.errors import UserError

cells = st.sampled_from(ODD) | st.text(max_size=30)
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12)
HEADER = ("id", "a text", 'with "quotes", and commas')


def records(path: Path, **options: str) -> list[tuple[str, ...]]:
    """The cells of every record, as a reader that leaves nothing out has them."""
    return list(open_sheet(path, **options).rows(Reader(False), lambda record: tuple(record.values())))


def quoted(rows: list[tuple[str, ...]], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([HEADER, *rows])
    return file.getvalue().encode()


@settings(max_examples=60, deadline=None)
@given(tables, st.sampled_from([",", ";", "|", "\t"]), st.booleans())
@example([(word, word, word) for word in ODD], ",", False)
@example([(word, ODD[-n], "") for n, word in enumerate(ODD)], ";", True)
def test_csv_keeps_every_string(rows, delimiter, packed):
    with TemporaryDirectory() as folder:
        path = Path(folder, "raw.csv.gz" if packed else "raw.csv")
        raw = quoted(rows, delimiter)
        path.write_bytes(gzip.compress(raw) if packed else raw)
        assert records(path) == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[cells.filter(lambda text: not set("\t\n") & set(text))] * 3), min_size=1, max_size=12))
@example([('"', '"quoted', "a\rb"), ("NA", "007", "")])
def test_tsv_takes_quotes_for_characters(rows):
    with TemporaryDirectory() as folder:
        path = Path(folder, "raw.tsv")
        lines = [("id", "b", "c"), *rows]
        path.write_bytes("".join("\t".join(line) + "\n" for line in lines).encode())
        assert records(path) == rows


@settings(max_examples=60, deadline=None)
@given(tables, st.booleans())
@example([(word, word, word) for word in ODD], True)
def test_json_keeps_every_string(rows, ascii_only):
    with TemporaryDirectory() as folder:
        path = Path(folder, "raw.jsonl")
        lines = [json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=ascii_only) for row in rows]
        path.write_bytes("".join(line + "\n" for line in lines).encode())
        assert records(path) == rows


@settings(max_examples=10, deadline=None)
@given(tables)
@example([(word, word, word) for word in ODD])
def test_parquet_keeps_every_string(rows):
    rows = [tuple(cell.replace("\x00", "") for cell in row) for row in rows]  # which DuckDB would not take to write it
    with TemporaryDirectory() as folder, duckdb.connect() as db:
        path = Path(folder, "raw.parquet")
        db.execute("CREATE TABLE raw (id VARCHAR, b VARCHAR, c VARCHAR)")
        db.executemany("INSERT INTO raw VALUES (?, ?, ?)", rows)
        db.execute(f"COPY raw TO '{path}' (FORMAT parquet)")
        assert records(path) == rows


def test_values_of_json_that_are_no_strings(tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_text(
        '{"a": 12345678901234567890, "b": 1.50, "c": null, "d": ["x", 1e5, {"f": [2.0]}], "e": true}\n{"a": -0}\n'
    )
    rows = list(open_sheet(path).rows(Reader(False), lambda record: tuple(record.items())))
    assert rows == [
        (("a", "12345678901234567890"), ("b", "1.50"), ("c", ""), ("d", 'x, 1e5, {"f": ["2.0"]}'), ("e", "true")),
        (("a", "-0"),),
    ]


def test_values_of_parquet_that_are_no_strings(tmp_path):
    path = tmp_path / "raw.parquet"
    columns = "12345678901 AS a, ['x', 'y, z'] AS b, NULL::VARCHAR AS c, DATE '2024-01-31' AS d, 'NA'::BLOB AS e"
    duckdb.sql(f"COPY (SELECT {columns}) TO '{path}' (FORMAT parquet)")
    assert records(path) == [("12345678901", "x, y, z", "", "2024-01-31", "NA")]


def test_a_mark_of_byte_order_and_returns_are_no_text(tmp_path):
    (tmp_path / "raw.csv").write_bytes(b"\xef\xbb\xbfid,text\r\n1,a\r\n\r\n2,b")
    assert open_sheet(tmp_path / "raw.csv").columns == ("id", "text")
    assert records(tmp_path / "raw.csv") == [("1", "a"), ("2", "b")]
    (tmp_path / "raw.tsv").write_bytes(b"id\ttext\r\n1\ta\r\n")
    assert records(tmp_path / "raw.tsv") == [("1", "a")]


def test_a_member_of_a_zip_is_read_as_a_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        archive.writestr("in/raw.csv", quoted([("1", "a\nb", ""), ("2", "é", '"')]))
        archive.writestr("in/raw.jsonl", '{"id": 1}\n')
    assert records(zipfile.Path(tmp_path / "raw.zip", "in/raw.csv")) == [("1", "a\nb", ""), ("2", "é", '"')]
    assert records(zipfile.Path(tmp_path / "raw.zip", "in/raw.jsonl")) == [("1",)]


def test_a_header_in_quotes_under_a_blank_line(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text('\n"id","a;b"\n\n"1","2"\n')
    assert open_sheet(path).columns == ("id", "a;b")
    assert records(path) == [("1", "2")]


def test_no_header_and_lines_of_two_encodings(tmp_path):
    path = tmp_path / "raw.dat"
    path.write_bytes('1::é:\r\n2::"é\r\n'.encode() + "3::é\r\n\r\n4::é::\r\n".encode("latin-1"))
    reader = Reader(True)
    found = list(
        bare_sheet(path, ("id", "title"), "::", latin=True).rows(reader, lambda record: tuple(record.values()))
    )
    assert found == [("1", "é:"), ("2", '"é'), ("3", "é")]
    assert [Path(path).name for path in reader.left_out.elements()] == ["raw.dat"]
    with pytest.raises(UserError, match=r"raw\.dat, line 3: not UTF-8 "):
        list(bare_sheet(path, ("id", "title"), "::").rows(Reader(False), lambda record: ()))


def test_quotes_as_asked_for(tmp_path):
    path = tmp_path / "raw.tsv"
    path.write_text('id\ttext\n1\t"a\tb"\n')
    assert records(path, quotes="csv") == [("1", "a\tb")]
    other = tmp_path / "raw.csv"
    other.write_text('id,text\n1,"a\n')
    assert records(other, quotes="none") == [("1", '"a')]


BAD = [  # the second record, which begins on line 4, as the first is of two lines
    (b"2,b,c\n", "3 cells, not the 2 of id, text"),
    (b"2\n", "1 cells, not the 2 of id, text"),
    (b"2,caf\xe9\n", "not UTF-8 (invalid continuation byte at byte 5)"),
    (b'2,"two\ncaf\xe9\nlines"\n', "not UTF-8 (invalid continuation byte at byte 3)"),
    (b'2,"b"c\n', "',' expected after '\"'"),
    (b"2,b\rc\n", "new-line character seen in unquoted field"),
]


@pytest.mark.parametrize(("record", "problem"), BAD)
def test_a_record_that_cannot_be_used(tmp_path, record, problem):
    path = tmp_path / "raw.csv"
    path.write_bytes(b'id,text\n1,"a\nb"\n' + record + b"3,c\n")
    with pytest.raises(UserError) as error:
        records(path)
    shown = record.split(b"\n")[0].decode("utf-8", "backslashreplace").strip()
    assert str(error.value) == (
        f"{path}, line 4: {problem}: {shown!r}; mend the line, or add --skip-bad to leave such out"
    )
    reader = Reader(True)
    kept = list(open_sheet(path).rows(reader, lambda record: tuple(record.values())))
    assert kept == [("1", "a\nb"), ("3", "c")]
    assert [Path(path).name for path in reader.left_out.elements()] == ["raw.csv"]


def test_a_quote_that_is_never_closed_is_not_left_out(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text('id,text\n1,a\n2,"b\n3,c\n4,d\n')
    with pytest.raises(UserError, match=r"raw\.csv, line 3: a quote is opened that is never closed; close it"):
        list(open_sheet(path).rows(Reader(True), lambda record: ()))


def test_a_file_that_is_cut_off(tmp_path):
    path = tmp_path / "raw.csv.gz"
    rows = [(str(n), str(n * 7919 % 1000003), "x") for n in range(20_000)]
    path.write_bytes(gzip.compress(quoted(rows))[:-2000])
    with pytest.raises(UserError, match=r"raw\.csv\.gz is cut off or damaged after line \d+ .*download it again"):
        records(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("raw.xlsx", b"", "its name does not tell what it is; legal are .csv, .tsv, .jsonl"),
        ("raw.csv", b"", "is empty; its first line must name the columns"),
        ("raw.csv", "id,text\n".encode("utf-16"), "line 1: not UTF-8 (invalid start byte at byte 0); the first line"),
        ("raw.csv", b"id,text,id\n", "line 1: the column 'id' appears twice; rename one"),
        ("raw.tsv", b'"id"\t"text"\n', "the names of columns stand in quotes; add --quotes csv if cells do so too"),
        ("raw.jsonl", b"[1]\n[2]\n", "none of its first lines is a record, which stands in braces; is it JSON lines?"),
        ("raw.parquet", b"PAR1 no", "is no Parquet file that can be read ("),
        ("raw.parquet", b"PAR1 no PAR1", "raw.parquet')"),  # and not the query
        ("raw.parquet", None, "is not a file; give the path of one"),
        ("raw.csv", None, "is not a file; give the path of one"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        open_sheet(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_layout_in_words():
    assert Sheet(Path(), "CSV", (), ";", True).layout == "cells between semicolons, maybe in quotes"
    assert Sheet(Path(), "JSON", ()).layout == "JSON lines"


class TestWhatComesLate:
    """Columns that the first records leave empty, or do not have."""

    EARLY = 500

    def test_cells_of_a_sheet(self, tmp_path):
        path = tmp_path / "raw.csv"
        rows = [*["x,"] * self.EARLY, *["x, long "] * 3]
        path.write_text("\n".join(["title,description", *rows]))
        assert open_sheet(path).sample() == {"title": ["x"] * SAMPLE, "description": ["long"] * 3}

    def test_keys_of_json(self, tmp_path):
        path = tmp_path / "raw.jsonl"
        path.write_text("\n".join(['{"title": "x"}'] * self.EARLY + ['{"description": "long"}']))
        assert open_sheet(path).columns == ("title", "description")


@pytest.mark.parametrize("name", ["cl[1].parquet", "what?.parquet", "st*r.parquet", "dt=2024/one.parquet"])
def test_a_parquet_file_is_that_file(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    for other, text in (("cl1.parquet", "no"), ("whatx.parquet", "no"), (name, "yes")):
        with duckdb.connect() as db:
            db.execute(f"COPY (SELECT '{text}' AS cell) TO '{tmp_path / 'new'}' (FORMAT parquet)")
        (tmp_path / "new").rename(tmp_path / other)
    sheet = open_sheet(tmp_path / name)
    assert sheet.columns == ("cell",)
    assert sheet.sample() == {"cell": ["yes"]}
