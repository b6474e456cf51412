"""Lines cut into fields: as the csv module writes them, and where they are not what their columns say."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataset_prep.lines import BadRecordError, Reader
from dataset_prep.sheets import Sheet, between, commas, csv_sheet
from recbole_cllm4rec.errors import UserError

cells = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)


@given(st.lists(cells, min_size=2, max_size=5))
@example(['"', 'a, "b"', "", ",", "'", "\t", "\\"])
def test_a_line_of_csv_is_read_as_it_was_written(row):
    line = io.StringIO()
    csv.writer(line).writerow(row)
    assert commas(line.getvalue().removesuffix("\r\n")) == row


@pytest.mark.parametrize("line", ['a,"b', 'a,"b"c', '"'])
def test_quotes_that_do_not_end(line):
    with pytest.raises(BadRecordError, match="not CSV"):
        commas(line)


def test_lines_of_two_encodings():
    sheet = Sheet(Path("x"), ("id", "title"), between("|"), latin=True)
    assert [
        sheet.parse(f"1|é{end}".encode(code))["title"] for code in ("utf-8", "latin-1") for end in ("", "\r\n")
    ] == ["é"] * 4
    with pytest.raises(BadRecordError, match="not UTF-8"):
        sheet._replace(latin=False).parse("1|é".encode("latin-1"))


def test_a_header_is_not_a_record(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\nid,n,more\n\na,1.5,x\nb,2,\n")
    sheet = csv_sheet(path, ["n", "id"], numbers=("n",))
    assert list(sheet.rows(Reader(skip_bad=False), lambda record: (record["id"], record["n"]))) == [
        ("a", 1.5),
        ("b", 2),
    ]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("", "line 1: the header lacks 'id'"),
        ("id,m", "line 1: the header lacks 'n'"),
        ("id,n,id", "line 1: the header repeats 'id'"),
        ('id,"n', "line 1: the header lacks 'id'"),
    ],
)
def test_a_header_without_its_columns(tmp_path, header, problem):
    path = tmp_path / "x.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(UserError, match=f"x.csv, {problem}; it must name each of id, n"):
        csv_sheet(path, ["id", "n"])
