"""What a training survives: ``python -m benchmarks.torture``.

A tiny CLLM4Rec is trained once in peace. Then the same training is killed, again and again, and gone on with; its
checkpoints are damaged, its disk is full, and a second process works in its folder. Every line tells what was done and
what differs at the end from the training in peace, bit for bit: figures, losses of every epoch, and weights.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from benchmarks import killing, troubles
from benchmarks.killing import Outcome, Workplace, checkpoints, differences, start, words
from benchmarks.workload import backbone_folder
from recbole_cllm4rec.checkpoint import store

TINY = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 200, "n_positions": 64}
SHARE_OF_STARTS = 0.2
"""Of the kills at random moments, those that count from the start of the process, before it trains."""


@dataclass
class Row:
    """One kind of trouble: how often it came, how often the training went on, and what differs at the end."""

    trouble: str
    times: int = 0
    resumes: int = 0
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Peace:
    """A training that nobody disturbs: what others are compared with, its ``batches``, and the ``seconds`` of one."""

    place: Workplace
    result: dict[str, Any]
    batches: int
    seconds: float


def torture(
    folder: Path, kills: int, deaths: int, seed: int, users: int = 60, items: int = 30, **options: Any
) -> Iterator[Row]:
    """A row after the other: ``kills`` at random moments, ``deaths`` inside a save, and the rest."""
    rng = np.random.default_rng(seed)
    with backbone_folder("gpt2-size", **TINY) as backbone:
        clean = killing.build(folder / "clean", backbone, users, items, rng, **options)
        peace = in_peace(killing.copied(clean, folder / "peace"))
        yield killed(killing.copied(clean, folder / "killed"), peace, kills, rng)
        yield dead_in_saves(killing.copied(clean, folder / "saves"), peace, deaths, rng)
        stopped = half_way(killing.copied(clean, folder / "stopped"))
        for how in ("truncated", "byte flipped"):
            yield damaged(killing.copied(stopped, folder / how), peace, how, rng)
        yield starved(killing.copied(clean, folder / "full"), peace)
        yield beset(killing.copied(stopped, folder / "beset"), peace)


def in_peace(place: Workplace) -> Peace:
    """Train once, saving as the others do, so that its seconds are those of the others."""
    child = start(place, resume=False)
    child.wait_for(0)
    begin = perf_counter()
    outcome = child.end()
    assert outcome.result is not None, outcome
    return Peace(place, outcome.result, child.batches, (perf_counter() - begin) / child.batches)


def killed(place: Workplace, peace: Peace, kills: int, rng: np.random.Generator) -> Row:
    """SIGKILL at random moments of starts and of batches all over the training, as many as asked for if it lasts."""
    row = Row("SIGKILL at a random moment")
    for _ in range(kills):
        batches = int(rng.uniform(0, 2 * peace.batches / kills)) if rng.random() >= SHARE_OF_STARTS else None
        outcome = start(place, resume=True).kill_after(float(rng.uniform(0, peace.seconds)), batches)
        if outcome.code == 0:
            break
        row.times += 1
        row.notes.append(_where(place))
    return _finished(row, place, peace)


def dead_in_saves(place: Workplace, peace: Peace, deaths: int, rng: np.random.Generator) -> Row:
    """SIGKILL at random steps of a save, each in one of the first saves of a process."""
    row = Row("SIGKILL inside the save of a checkpoint")
    for _ in range(deaths):
        outcome = start(place, True, troubles.dying_in_a_save(int(rng.integers(1, 100)))).end()
        if outcome.code == 0:
            break
        row.times += 1
        row.notes.append(_where(place))
    return _finished(row, place, peace)


def half_way(place: Workplace) -> Workplace:
    """A training that was killed in its middle, after as many saves as are kept."""
    start(place, False, troubles.killed_at(store.KEPT + 1)).end()
    return place


def damaged(place: Workplace, peace: Peace, how: str, rng: np.random.Generator) -> Row:
    """The newest checkpoint is not what was written: it is to be named, and the one before it used."""
    row = Row(f"newest checkpoint {how}", 1)
    newest = checkpoints(place)[-1]
    file = newest / str(rng.choice([store.TENSORS, store.STATE, store.MANIFEST]))
    content = bytearray(file.read_bytes())
    if how == "truncated":
        content = content[: int(rng.integers(len(content)))]
    else:
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)
    row = _finished(row, place, peace)
    log = "".join(path.read_text(encoding="utf-8") for path in sorted(place.folder.glob("log/**/*.log")))
    named = [line for line in log.splitlines() if "damaged checkpoint is passed over" in line]
    if not named or str(file.relative_to(place.folder)) not in named[0]:
        row.differences.append(f"{file.name} was not named")
    row.notes += [line[line.index("a damaged") :] for line in named]
    return row


def starved(place: Workplace, peace: Peace) -> Row:
    """No room for the third checkpoint: one line of error, the second whole, and on it goes once there is room."""
    row = Row("disk full in a save", 1)
    outcome = start(place, False, troubles.disk_full_at(3)).end()
    row.notes.append(outcome.error)
    if "could not be saved" not in outcome.error:
        row.differences.append("no clear error")
    if [store.load(path).state["words"] for path in checkpoints(place)] == []:
        row.differences.append("no whole checkpoint left")
    return _finished(row, place, peace)


def beset(place: Workplace, peace: Peace) -> Row:
    """A second process in the folder of the first is refused, and a third without ``resume`` has one of its own."""
    row = Row("second and third process at once", 2)
    folder = killing.newest_folder(place)
    assert folder is not None
    go = place.folder / "go"
    first = start(place, str(folder.relative_to(place.folder)), troubles.waiting_for(go))
    first.wait_for(1)
    second = start(place, str(folder.relative_to(place.folder)))
    outcomes = {"third": start(place, resume=False).end()}
    refused = second.end()
    go.touch()
    outcomes["first"] = first.end()
    row.notes.append(refused.error)
    if "another process trains in" not in refused.error:
        row.differences.append("the second was not refused")
    for name, outcome in outcomes.items():
        row.differences += _compared(outcome, place, peace, name)
    row.resumes = 1
    return row


def _finished(row: Row, place: Workplace, peace: Peace) -> Row:
    """Let the training go on to its end, undisturbed, and compare; then ask for it once more."""
    outcome = start(place, resume=True).end()
    row.resumes += row.times
    row.differences += _compared(outcome, place, peace, "")
    results = {path: path.read_bytes() for path in (place.folder / "results").rglob("*") if path.is_file()}
    again = start(place, resume=True).end()
    if again.result != outcome.result or any(path.read_bytes() != content for path, content in results.items()):
        row.differences.append("the finished run was run again")
    return row


def _compared(outcome: Outcome, place: Workplace, peace: Peace, whose: str) -> list[str]:
    if outcome.result is None:
        return [f"{whose} came to no end: {outcome.error or outcome.code}".strip()]
    return differences(place, outcome.result, peace.place, peace.result)


def _where(place: Workplace) -> str:
    left = checkpoints(place)
    return words(left[-1]) if left else "before the first checkpoint"


def table(rows: Sequence[Row]) -> str:
    """A line a row."""
    cells = [[row.trouble, row.times, row.resumes, len(row.differences)] for row in rows]
    return tabulate(cells, ["trouble", "times", "resumes", "differences"], "pipe")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write it; 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="at random moments (20)")
    parser.add_argument("--deaths", type=int, default=20, help="inside a save (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--out", type=Path, default=Path("results/torture"), help="a folder (results/torture)")
    args = parser.parse_args(argv)
    rows = []
    with TemporaryDirectory() as folder, tqdm(total=6, unit="trouble") as bar:
        for row in torture(Path(folder), args.kills, args.deaths, args.seed):
            rows.append(row)
            bar.update()
    print(table(rows), *(f"{row.trouble}: {'; '.join(row.differences)}" for row in rows if row.differences), sep="\n")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "torture.md").write_text(table(rows) + "\n", encoding="utf-8")
    (args.out / "torture.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return int(any(row.differences for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
