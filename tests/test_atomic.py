"""Atomic files: every cell is what stands there, and what is malformed is named by its line."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from atomic_files import refusal
from hypothesis import example, given
from hypothesis import strategies as st

from recbole_cllm4rec.atomic import read_atomic


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Writes an item file as it is given."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "toy.item"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def cells(path: Path, separator: str = "\t", encoding: str = "utf-8") -> list[list[str]]:
    rows: list[list[str]] = read_atomic(path, separator, encoding).to_numpy().tolist()
    return rows


@pytest.mark.parametrize(
    "cell",
    [
        *('"', '"quoted', 'an "inner" quote', '""', "'", "#", "\\t", "", " ", "NA", "null", "None", "nan", "N/A"),
        *("007", "1e5", "2024-01-31", "True", "🧴💄", "👩\u200d🔬", "שָׁלוֹם", "e\u0301", "\ufeff", "a\x00b"),
        *("a\rb", "\r", "a\u2028b", "a\x85b", "a\x0b\x0c\x1c\x1d\x1eb"),
        pytest.param("long " * 6000, id="long"),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_cell_is_what_stands_there(cell: str, ending: str, file: Callable[..., Path]) -> None:
    rows = [[cell, "x", "y"], ["x", cell, "y"], ["x", "y", cell], [cell, cell, cell], ["x", "y", "z"]]
    lines = ["a:token\tb:token_seq\tc:token", *map("\t".join, rows)]
    assert cells(file(ending.join(lines) + ending)) == rows
    assert cells(file(ending.join(lines))) == rows
    assert cells(file("\ufeff" + ending.join(lines) + ending)) == rows


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"))


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """A few rows of one, two or three cells."""
    width = draw(st.integers(1, 3))
    return draw(st.lists(st.lists(words, min_size=width, max_size=width), max_size=4))


@given(tables(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
@example([['"a', "b"], ['c"', "d"]], "\n", "")
@example([[""], ["x"], [""]], "\r\n", "")
def test_what_is_written_plainly_is_read_again(rows: list[list[str]], ending: str, mark: str) -> None:
    width = len(rows[0]) if rows else 2
    header = "\t".join(f"c{number}:token" for number in range(width))
    with TemporaryDirectory() as folder:
        path = Path(folder, "toy.item")
        path.write_bytes((mark + "".join(line + ending for line in [header, *map("\t".join, rows)])).encode())
        frame = read_atomic(path, "\t", "utf-8")
    assert list(frame) == header.split("\t")
    assert frame.to_numpy().tolist() == rows


def test_blank_lines(file: Callable[..., Path]) -> None:
    for ending in ("\n", "\r\n"):
        lines = ["a:token\tb:token", "x\ty", "", "", ""]
        assert cells(file(ending.join(lines))) == [["x", "y"]]
    assert cells(file("a:token\nx\n\n")) == [["x"], [""]]  # where there is one column, an empty line is an empty cell
    assert cells(file("a:token\tb:token\n\n\n")) == []
    assert cells(file("a:token\tb:token")) == []


def test_windows_lines_that_an_editor_has_mended_in_part(file: Callable[..., Path]) -> None:
    assert cells(file("a:token\tb:token\r\nx\ty\nz\tw\r\n")) == [["x", "y"], ["z", "w"]]


def test_other_encodings_and_separators(file: Callable[..., Path]) -> None:
    rows = [["é", '"'], ["ß\x85", "NA"]]
    text = 'a:token,b:token\né,"\nß\x85,NA\n'
    for encoding in ("latin-1", "utf-16", "utf-8-sig"):
        assert cells(file(text.encode(encoding)), ",", encoding) == rows


TYPES = "float, float_seq, token, token_seq; columns are separated by tabs, unless field_separator says otherwise"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", " is empty; its first line has to name the columns, as user_id:token, with tabs between"),
        ("a:token\tb\n", f", line 1: the header 'b' is not NAME:TYPE with TYPE one of {TYPES}"),
        ("a:token\tb:text\n", f", line 1: the header 'b:text' is not NAME:TYPE with TYPE one of {TYPES}"),
        ("a:b:token\n", f", line 1: the header 'a:b:token' is not NAME:TYPE with TYPE one of {TYPES}"),
        ("a:token\tb:token\ta:token\n", ", line 1: the column 'a' appears twice"),
        ("a:token\tb:token\ta:float\n", ", line 1: the column 'a' appears twice"),
    ],
)
def test_malformed_headers(content: str, message: str, file: Callable[..., Path]) -> None:
    path = file(content)
    assert refusal(read_atomic, path, "\t", "utf-8") == f"{path}{message}"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["x\ty", "x"], "line 3: 1 cells"),
        (["x\ty\tz"], "line 2: 3 cells"),
        (["x\ty", "", "x\ty"], "line 3: 1 cells"),
        (["x\ty", "x\ty", " "], "line 4: 1 cells"),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_rows_of_another_length(lines: list[str], problem: str, ending: str, file: Callable[..., Path]) -> None:
    path = file(ending.join(["a:token\tb:token", *lines]))
    assert refusal(read_atomic, path, "\t", "utf-8") == (
        f"{path}, {problem} where the header names 2; a tab or a newline inside a text must be escaped "
        "(see text_escaped)"
    )


@pytest.mark.parametrize("number", [1, 2, 3, 700, 2000])
@pytest.mark.parametrize("width", [1, 50, 9000])
def test_text_in_another_encoding(number: int, width: int, file: Callable[..., Path]) -> None:
    lines = [b"a:token", *[b"x" * width] * 2000]
    lines[number - 1] += b"caf\xe9"
    path = file(b"\n".join(lines))
    assert refusal(read_atomic, path, "\t", "utf-8") == (
        f"{path}, line {number}: not utf-8 (invalid continuation byte); set `encoding`"
    )


def test_an_encoding_that_is_none(file: Callable[..., Path]) -> None:
    path = file("a:token\n")
    assert refusal(read_atomic, path, "\t", "uft-8") == (
        f"{path} cannot be read, as Python has no encoding 'uft-8': set `encoding`"
    )
