"""Parquet, whose records are columns: read by DuckDB, as it is larger than memory too, every value as text."""

import re
from collections.abc import Iterator

import duckdb
from tqdm import tqdm

from dataset_prep.lines import File, Found
from dataset_prep.staging import BLOCK, MEMORY
from recbole_cllm4rec.errors import UserError

_SOURCE = "FROM read_parquet(?, binary_as_string = true, hive_partitioning = false)"


def types_of(path: File) -> dict[str, str]:
    """The types of the columns, by name. Raises UserError if the file is missing or damaged."""
    if not path.is_file():
        raise UserError(f"{path} is not a file; give the path of one")
    try:
        with duckdb.connect() as db:
            found = db.execute(f"DESCRIBE SELECT * {_SOURCE}", [_literal(path)])
            return {name: kind for name, kind, *_ in found.fetchall()}
    except duckdb.Error as error:
        raise _unreadable(path, error) from None


def rows(path: File, columns: tuple[str, ...]) -> Iterator[Found[dict[str, str]]]:
    """Every record by its number, from 1, its values as text; those of a list after one another."""
    types = types_of(path)
    chosen = ", ".join(_as_text(name, types[name]) for name in columns)
    try:
        with duckdb.connect(config={"memory_limit": MEMORY, "threads": 1}) as db:
            (total,) = db.execute(f"SELECT count(*) {_SOURCE}", [_literal(path)]).fetchone() or (0,)
            cursor = db.execute(f"SELECT {chosen} {_SOURCE}", [_literal(path)])
            bar = tqdm(total=total, unit="row", desc=f"reading {path.name}", delay=5, leave=False)
            done = 0
            with bar:
                while block := cursor.fetchmany(BLOCK):
                    for number, cells in enumerate(block, start=done + 1):
                        yield number, b"", dict(zip(columns, cells, strict=True))
                    done += len(block)
                    bar.update(len(block))
    except duckdb.Error as error:
        raise _unreadable(path, error) from None


def _literal(path: File) -> str:
    """The path for DuckDB, which takes it for a pattern of several files."""
    return re.sub(r"[*?\[]", r"[\g<0>]", str(path))


def _as_text(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    value = f"array_to_string({quoted}::VARCHAR[], ', ')" if kind.endswith("[]") else f"{quoted}::VARCHAR"
    return f"coalesce({value}, '')"


def _unreadable(path: File, error: duckdb.Error) -> UserError:
    why = str(error).partition("\nLINE ")[0]  # after which DuckDB shows the query
    return UserError(f"{path} is no Parquet file that can be read ({' '.join(why.split())[:200]})")
