"""The table of mistakes: docs/errors.md is what the commands say, word for word."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import ground, judged, prep, run
from mistakes import COLUMNS, MISTAKES, YAML, Mistake

TABLE = Path(__file__).parents[2] / "docs" / "errors.md"
REWRITE = "pytest tests/fuzz/test_errors.py --write-errors"
HEAD = """\
# What went wrong

A mistake ends a command with one line on stderr and exit status 2; nothing half-done stands under a final name. What
`run_recbole.py` says begins with `error:`, what `python -m dataset_prep` says with `dataset_prep:`. A traceback is
never the user's fault: it is a bug, to be reported.

Below, mistakes and what they are answered with, on a small dataset `shop`. The table is made by the tests:
`{command}` writes it anew.
"""
ROWS = [(group, mistake) for group, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.fixture(scope="module")
def answers(finished: Path, stopped: Path) -> dict[str, list[tuple[Mistake, str]]]:
    """Every mistake with its line, by group."""
    start = {"shop": None, "finished": finished, "stopped": stopped}
    found: dict[str, list[tuple[Mistake, str]]] = {group: [] for group in MISTAKES}
    for group, mistake in ROWS:
        found[group].append((mistake, _answer(mistake, start[mistake.start])))
    return found


def _answer(mistake: Mistake, prepared: Path | None) -> str:
    with ground(prepared) as folder:
        if prepared is None:
            Path(YAML).write_text(COLUMNS)
        homes = list(folder.glob("saved/shop/CLLM4Rec-*/1"))
        for name, content in mistake.files.items():
            _put(folder, homes, name, content)
        words = shlex.split(mistake.command)
        if words[0] == "{run}":
            options = (folder / "words").read_text().split("\n")
            words = [*options, *(word.replace("FOLDER", str(homes[0].relative_to(folder))) for word in words[1:])]
            words = [word for word in words if not (word.startswith("--epochs=2") and "--epochs=9" in words)]
        ended = judged(words, prep if mistake.converts else run)
        assert ended.status == 2, mistake
        return _stable(ended.line, folder)


def _put(folder: Path, homes: list[Path], name: str, content: str | bytes | None) -> None:
    """Write a file, or one of the newest checkpoint, then the only one; None takes away, "saved" all weights."""
    path = folder / name
    if homes and "/" not in name:
        *older, newest = sorted(homes[0].glob("checkpoints/0*"))
        for other in older:
            other.rename(other.with_name(f"{other.name}.damaged"))
        path = newest / name
    if content is None:
        for file in folder.rglob("model.*") if name == "saved" else [path]:
            file.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _stable(line: str, folder: Path) -> str:
    """Without what differs from one machine and version to the next: folders, hashes of configurations."""
    line = line.replace(f"{folder}/", "").replace(str(folder), "FOLDER")
    return re.sub(r"(-\d+-)[0-9a-f]{16}\b", r"\1HASH", line)


def _table(answers: dict[str, list[tuple[Mistake, str]]]) -> str:
    return "\n".join([HEAD.format(command=REWRITE), *_lines(answers)])


def _lines(answers: dict[str, list[tuple[Mistake, str]]]) -> Iterator[str]:
    for group, rows in answers.items():
        yield f"## {group}\n"
        yield "| mistake | command | answer |"
        yield "|---|---|---|"
        for mistake, line in rows:
            command = mistake.command.replace("{run}", "…")
            cells = (mistake.what, f"`{command}`", _code(line.removeprefix("error: ")))
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


def _code(text: str) -> str:
    """As code in Markdown, where it may hold backticks itself."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def test_the_table_is_what_the_commands_say(
    answers: dict[str, list[tuple[Mistake, str]]], pytestconfig: pytest.Config
) -> None:
    table = _table(answers)
    if pytestconfig.getoption("write_errors"):
        TABLE.write_text(table, encoding="utf-8")
    there = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    new = [line for line in table.split("\n") if line not in there.split("\n")]
    assert there == table, f"docs/errors.md is not what the commands say; {REWRITE} writes it: {new[:3]}"


def test_no_mistake_stands_twice() -> None:
    assert len({(mistake.command, str(mistake.files), mistake.start) for _, mistake in ROWS}) == len(ROWS)


def test_every_answer_says_what_or_where(answers: dict[str, list[tuple[Mistake, str]]]) -> None:
    for rows in answers.values():
        for mistake, line in rows:
            assert len(line.split()) > 5, (mistake, line)
            assert "site-packages" not in line, (mistake, line)
