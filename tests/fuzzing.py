"""What every fuzz test needs: a ground to run commands on, the judge of what they do, and the count of cases."""

import contextlib
import hashlib
import io
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from shop import build_shop

from dataset_prep.__main__ import main as prep
from recbole_cllm4rec.cli import main as run

POP = ("--model=Pop", "--dataset=shop", "--topk=[3]", "--metrics=[NDCG]", "--valid_metric=NDCG@3", "--gpu_id=")
"""A whole run in a blink: it counts."""
# What a command that fails may leave: what it said, the folder of its run, and of a comparison audits and runs that
# are finished.
LOGS = re.compile(r"(log|log_tensorboard|saved|results/\w+/log)/.*|results/\w+/\w+\.audit\.json|.*/run\.lock")
ERROR = re.compile(r"(error|dataset_prep|python -m dataset_prep( [\w-]+)?): .")
FEW, MANY = 30, 400
COUNT: Counter[str] = Counter()
"""Cases so far, by how they ended: worked, refused."""


class Outcome(NamedTuple):
    """How a command ended: its exit status, and the one line that refused it, if it was refused."""

    status: int
    line: str


def cases(share: float = 1.0) -> settings:
    """Settings of a fuzz test, whose cases cost seconds or not: its share of examples.

    There are ``FEW`` to share, the same ones every time, or those of the profile ``long``, new ones every time.
    """
    profile = settings.default
    long = profile is not None and profile.max_examples >= MANY
    return settings(
        max_examples=max(1, int((profile.max_examples if profile and long else FEW) * share)),
        derandomize=not long,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def ground(prepared: Path | None = None) -> Iterator[Path]:
    """A folder of its own with the shop, or a copy of what was ``prepared``; the process works there."""
    before = Path.cwd()
    with TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        if prepared is None:
            build_shop(folder)
        else:
            shutil.copytree(prepared, folder, dirs_exist_ok=True, symlinks=True)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            _close_logs(folder)


def judged(argv: Sequence[str], main: Callable[[Sequence[str]], int] = run) -> Outcome:
    """Run a command here and assert that it either works or is refused in one line and leaves nothing half-done.

    A traceback is an exception of this call.
    """
    before = files()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(argv))
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
    lines = [line for line in err.getvalue().splitlines() if ERROR.match(line)]
    assert "Traceback" not in err.getvalue(), err.getvalue()
    left = [name for name in files() if name.endswith(".partial")]
    assert not left, left
    if status == 0:
        assert not lines, lines
        COUNT["worked"] += 1
        return Outcome(0, "")
    assert status == 2, (status, err.getvalue())
    assert len(lines) == 1, err.getvalue()
    assert err.getvalue().splitlines()[-1] == lines[0], err.getvalue()
    _check_line(lines[0])
    made = {name for name, content in files().items() if before.get(name) != content and not LOGS.fullmatch(name)}
    assert not made, f"it was refused ({lines[0]}), but wrote {made}"
    COUNT["refused"] += 1
    return Outcome(2, lines[0])


def _check_line(line: str) -> None:
    """A message is for people: of a length to be read, without the insides of Python."""
    assert len(line) <= 1010, len(line)
    assert not re.search(r"<(class|function|module|object)|object at 0x|\bNoneType\b", line), line
    assert line.isprintable(), line


def files() -> dict[str, str]:
    """Every file here, and a hash of what it holds."""
    return {
        str(path): hashlib.sha1(path.read_bytes()).hexdigest()
        for path in Path().rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def refuses(call: Callable[[], Any], kind: type[Exception]) -> bool:
    """Whether a function below the command line refuses with an exception of ``kind``."""
    with contextlib.suppress(kind):
        call()
        COUNT["worked"] += 1
        return False
    COUNT["refused"] += 1
    return True


def _close_logs(folder: Path) -> None:
    """The log files of the last run are open, in a folder that goes."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_relative_to(folder):
            handler.close()
            root.removeHandler(handler)


__all__ = ["COUNT", "POP", "Outcome", "cases", "files", "ground", "judged", "prep", "refuses", "run"]
