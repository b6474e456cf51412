"""Who is alive: a lock that the system releases."""

import subprocess
import sys
from pathlib import Path

from recbole_cllm4rec.tuning.workers import bury, is_dead, working

KILLED = """
import os, signal, sys
from pathlib import Path
from recbole_cllm4rec.tuning.workers import working
with working(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_living_have_a_folder_and_leave_none(tmp_path: Path) -> None:
    with working(tmp_path / "study") as first, working(tmp_path / "study") as second:
        assert first != second
        assert not is_dead(first)
        assert not is_dead(second)
        (first / "checkpoint").touch()
    assert list((tmp_path / "study").iterdir()) == []
    assert is_dead(first)


def test_the_killed_are_dead_and_can_be_buried(tmp_path: Path) -> None:
    code = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=Path(__file__).parents[2]).returncode
    assert code == -9
    (left,) = tmp_path.iterdir()
    assert is_dead(left)
    bury(left)
    assert list(tmp_path.iterdir()) == []
