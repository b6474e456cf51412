"""What every test of a conversion looks at: the cells that it wrote, or the one line that refused it."""

from pathlib import Path
from typing import Any


def refused(capsys: Any, status: int) -> str:
    """The one line of a conversion that ended with ``status``, which leaves nothing behind."""
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dataset_prep: ")
    assert err.count("\n") == 1
    assert not Path("dataset").exists() or list(Path("dataset").iterdir()) == []
    return str(err).removeprefix("dataset_prep: ").removesuffix("\n")


def cells(ending: str) -> list[list[str]]:
    """The cells of a written file, its header first."""
    lines = Path("dataset/tiny", f"tiny.{ending}").read_bytes().decode().split("\n")
    return [line.split("\t") for line in lines[:-1]]


def body(ending: str) -> list[list[str]]:
    """As :func:`cells`, without the header."""
    return cells(ending)[1:]
