"""Strategies that start from what is right and change a little of it, so that most of it is read before it fails."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from odd import IDS, ODD

BYTES = [
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\r\n",
    b"\n",
    b"\t",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
]
BYTES += [
    b",",
    b":",
    b"\\",
    b"\x1f\x8b",
    b"PK\x03\x04",
    "é".encode("latin-1"),
    "🧴".encode(),
    b"\xed\xa0\x80",
    b"-",
    b"9",
]
NUMBERS = [
    "-1",
    "0",
    "1e400",
    "-inf",
    "nan",
    "NaN",
    "1e39",
    "9" * 30,
    "9" * 400,
    "0x10",
    "1_0",
    "٣",
    "1,5",
    "",
    "1e-400",
]
CELLS = [*ODD[:-1], *IDS, *NUMBERS, "[PAD]", "x\x00", "u0", "i0", "u1", "i1"]
SCALARS: list[Any] = [None, True, False, 0, 1, -1, 2, 3, 10**9, 2**31, 2**63, 10**30, 0.5, -0.5, 1e308, 1e-300]
SCALARS += [
    float("inf"),
    float("nan"),
    "",
    " ",
    "a",
    "True",
    "NDCG",
    "user_id",
    "item_id",
    "timestamp",
    "title",
    "shop",
]
SCALARS += ["inter", "item", "*", "[0,inf)", "[0,", "(1,2];x", "full", "uni9", "RS", "é", "a\nb", "\t", "%s", "{title}"]
SCALARS += [
    "{title[a]}",
    "{",
    "a" * 300,
    "a/b",
    "nowhere.yaml",
    "shop/shop.inter",
    "dataset",
    "\x00",
    "\ud800",
    "utf-16",
]

scalars = st.sampled_from(SCALARS) | st.text(max_size=8) | st.integers() | st.floats()
keys = st.sampled_from([key for key in SCALARS if isinstance(key, str)]) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | scalars, inner, max_size=3),
    max_leaves=5,
)
cells = st.sampled_from(CELLS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def changed_bytes(draw: st.DrawFn, whole: bytes, tokens: Sequence[bytes] = ()) -> bytes:
    """One to three places of ``whole`` are flipped, cut out, doubled, overwritten or cut off; or all of it is."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 1, 1, 2, 5, 40])))
        piece = draw(st.sampled_from([*BYTES, *tokens]) | st.binary(max_size=4))
        match draw(st.sampled_from(["flip", "insert", "insert", "replace", "drop", "double", "cut", "all"])):
            case "flip" if start < len(content):
                content[start] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                content[start:start] = piece
            case "replace":
                content[start:end] = piece
            case "drop":
                del content[start:end]
            case "double":
                content[start:start] = content[start:end] * draw(st.sampled_from([1, 1, 50]))
            case "cut":
                del content[start:]
            case "all":
                content = bytearray(draw(st.sampled_from([b"", b"\n", b"\x00" * 20, bytes(content) * 2, piece])))
    return bytes(content)


@st.composite
def changed_table(draw: st.DrawFn, table: Sequence[Sequence[str]], headers: Sequence[str]) -> list[list[str]]:
    """A table of cells, the header first, with one to three changes of cells, rows, columns or names."""
    rows = [list(row) for row in table]
    for _ in range(draw(st.integers(1, 3))):
        if not rows:
            break
        row = draw(st.integers(0, len(rows) - 1))
        place = draw(st.integers(0, max(0, len(rows[row]) - 1)))
        match draw(
            st.sampled_from(["cell", "cell", "header", "header", "cut", "add", "swap", "twice", "drop", "column"])
        ):
            case "cell" if rows[row]:
                rows[row][place] = draw(cells)
            case "header" if rows[0]:
                rows[0][min(place, len(rows[0]) - 1)] = draw(st.sampled_from(headers) | cells)
            case "cut" if rows[row]:
                del rows[row][place]
            case "add":
                rows[row].insert(place, draw(cells))
            case "swap":
                other = draw(st.integers(0, len(rows) - 1))
                rows[row], rows[other] = rows[other], rows[row]
            case "twice":
                rows += [list(rows[row])] * draw(st.sampled_from([1, 1, 30]))
            case "drop":
                del rows[row : row + draw(st.sampled_from([1, 1, 5, 1000]))]
            case "column":
                column = draw(cells)
                rows = [row[:place] + [column] * (number > 0) + row[place + 1 :] for number, row in enumerate(rows)]
    return rows


@st.composite
def changed_tree(draw: st.DrawFn, tree: Any, leaves: st.SearchStrategy[Any] = values) -> Any:
    """JSON or yaml with one to three entries replaced, taken out, renamed or doubled, at any depth."""
    tree = deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        tree = _changed(draw, tree, leaves, draw(st.integers(0, 4)))
    return tree


def _changed(draw: st.DrawFn, tree: Any, leaves: st.SearchStrategy[Any], depth: int) -> Any:
    if not depth or not isinstance(tree, dict | list) or not tree:
        return draw(leaves)
    key = draw(st.sampled_from(list(tree) if isinstance(tree, dict) else list(range(len(tree)))))
    match draw(st.sampled_from(["into", "into", "into", "out", "rename"])):
        case "into":
            tree[key] = _changed(draw, tree[key], leaves, depth - 1)
        case "out":
            del tree[key]
        case "rename" if isinstance(tree, dict):
            tree[draw(keys)] = tree.pop(key)
        case _:
            tree.append(draw(leaves))
    return tree


@st.composite
def changed_words(draw: st.DrawFn, commands: Sequence[Sequence[str]], pieces: Sequence[str]) -> list[str]:
    """The words of a command with one to three of them dropped, doubled, swapped, cut, or with another value."""
    words = list(draw(st.sampled_from(commands)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(words) - 1)))
        piece = draw(st.sampled_from(pieces) | st.text(st.characters(exclude_characters="/\0"), max_size=6))
        match draw(st.sampled_from(["drop", "twice", "insert", "value", "value", "value", "key", "apart", "cut"])):
            case "insert":
                words.insert(place, piece)
            case _ if not words:
                pass
            case "drop":
                del words[place]
            case "twice":
                words.append(words[place])
            case "value":
                words[place] = words[place].partition("=")[0] + "=" + piece
            case "key":
                words[place] = f"--{piece}=" + words[place].partition("=")[2]
            case "apart":
                words[place : place + 1] = words[place].split("=", 1)
            case "cut":
                words[place] = words[place][: draw(st.integers(0, len(words[place])))]
    return words
