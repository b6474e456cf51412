"""Atomic files: headers, rows, cells and bytes that are not what they should be."""

from pathlib import Path

import pytest
from fuzzing import POP, Outcome, cases, ground, judged
from hypothesis import given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_table

INTER = [
    ["user_id:token", "item_id:token", "rating:float", "timestamp:float", "review:token_seq"],
    *(
        [f"u{u}", f"i{(u + k) % 7}", str(1 + (u * k) % 5), str(900 + 10 * u + k), f"on i{k}"]
        for u in range(6)
        for k in range(5)
    ),
]
ITEM = [
    ["item_id:token", "title:token_seq", "price:float", "vector:float_seq", "shop:token"],
    *([f"i{i}", f"i{i} red lip", f"{i}.5", f"0.{i} 1", "ab"[i % 2]] for i in range(7)),
]
USER = [
    ["user_id:token", "age:float", "biography:token_seq"],
    *([f"u{u}", str(20 + u), f"likes i{u}"] for u in range(6)),
]
FILES = {"inter": INTER, "item": ITEM, "user": USER}
YAML = """\
load_col:
  inter: [user_id, item_id, rating, timestamp]
  item: [item_id, price, vector, shop]
  user: [user_id, age]
text_fields: {item: [title], user: [biography], inter: [review]}
eval_args: {order: TO}
"""
HEADERS = [*(name for table in FILES.values() for name in table[0])]
HEADERS += [
    f"{field}:{kind}"
    for field in ("user_id", "item_id", "timestamp", "age")
    for kind in ("token", "float", "token_seq")
]
HEADERS += [
    "user_id",
    "user_id:",
    ":token",
    "user_id:int",
    "user_id:token:token",
    "label:float",
    "x:float_seq",
    "é:token",
]


def _text(table: list[list[str]], separator: str = "\t", ending: str = "\n") -> str:
    return "".join(separator.join(row) + ending for row in table)


def _run(files: dict[str, bytes]) -> Outcome:
    with ground() as folder:
        home = Path(folder, "dataset/shop")
        for suffix, table in FILES.items():
            (home / f"shop.{suffix}").write_bytes(files.get(suffix, _text(table).encode()))
        (home / "shop.yaml").write_text(YAML)
        return judged(POP)


def _changed(suffix: str, **cells: str) -> bytes:
    """The file with other cells in its second row, by the names of their columns."""
    rows = [list(row) for row in FILES[suffix]]
    names = [name.partition(":")[0] for name in rows[0]]
    for name, cell in cells.items():
        rows[2][names.index(name)] = cell
    return _text(rows).encode()


def _headed(suffix: str, old: str, new: str) -> bytes:
    return _text([[new if name == old else name for name in FILES[suffix][0]], *FILES[suffix][1:]]).encode()


@cases()
@given(st.data(), st.sampled_from(["inter", "inter", "item", "user"]), st.sampled_from(["\n", "\r\n"]))
def test_tables(data: st.DataObject, suffix: str, ending: str) -> None:
    rows = data.draw(changed_table(FILES[suffix], HEADERS))
    separator = data.draw(st.sampled_from(["\t"] * 9 + [","]))
    _run({suffix: _text(rows, separator, ending).encode("utf-8", "surrogatepass")})


@cases()
@given(st.data(), st.sampled_from(["inter", "item", "user"]))
def test_bytes(data: st.DataObject, suffix: str) -> None:
    _run({suffix: data.draw(changed_bytes(_text(FILES[suffix]).encode(), [b"user_id:token", b"[PAD]", b"inf"]))})


@pytest.mark.parametrize(
    "files",
    [
        {"inter": b""},
        {"inter": _headed("inter", "user_id:token", "user_id:float")},
        {"inter": _headed("inter", "item_id:token", "item_id:token_seq")},
        {"inter": _headed("inter", "timestamp:float", "timestamp:token")},
        {"user": _headed("user", "user_id:token", "age:token")},
        {"user": _headed("user", "age:float", "rating:token")},
        {"item": _headed("item", "item_id:token", "id:token")},
        {"inter": _changed("inter", user_id="[PAD]")},
        {"item": _changed("item", item_id="i\0")},
        {"inter": _changed("inter", rating="inf")},
        {"inter": _changed("inter", timestamp="1e39")},
        {"item": _text(ITEM[:1]).encode()},
        {"inter": _text(INTER[:1]).encode()},
        {"inter": _text(INTER, ",").encode()},
        {"inter": _text(INTER).encode("utf-16")},
    ],
)
def test_files_that_were_wrong(files: dict[str, bytes]) -> None:
    assert _run(files).status == 2
