"""The folders of runs: which one a run goes on in, which one is new, and that no two processes work in one.

``<checkpoint_dir>/<dataset>/<run>-<seed>-<configuration hash>/<number>``, numbers from 1 up. A folder holds the weights
that are tested, ``model.safetensors`` or, of RecBole's own models, ``model.pth``; while CLLM4Rec trains in it,
``checkpoints`` too.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from logging import getLogger
from pathlib import Path
from typing import Any

import safetensors.torch
from filelock import FileLock, Timeout

from recbole_cllm4rec import processes
from recbole_cllm4rec.checkpoint import store
from recbole_cllm4rec.checkpoint.pinned import check_facts, check_same, pinned
from recbole_cllm4rec.checkpoint.state import put_together, restoring, take_apart
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import check_value
from recbole_cllm4rec.protocol.sources import changed, changed_since
from recbole_cllm4rec.report.result import result_path
from recbole_cllm4rec.report.rows import read_result

LOCK = "run.lock"
_FACTS: dict[str, Any] = {  # what a checkpoint says of its run, and is asked for here
    "config": dict[str, Any],
    "config_hash": str,
    "split": dict[str, str],
    "backbone": Any,
    "device": str,
    "threads": int,
    "versions": dict[str, str],
}
PATIENCE = 20.0
"""Seconds to wait for a process in the folder: one that was just told to stop is saving."""

Resume = bool | str | Path
"""True: the newest run of the configuration, if there is one; a path: the run in that folder; False: none."""


@dataclass
class Run:
    """A folder that is this process's own, and the state of the training to go on with, if one was left in it.

    Several processes have it together, and the main one writes there.
    """

    folder: Path
    state: dict[str, Any] | None = None

    def __getstate__(self) -> tuple[Path, Any, bytes]:
        """On its way to other processes: the state as in a file, as torch pickles no numbers of numpy's generator."""
        plain, tensors = take_apart(self.state)
        return self.folder, plain, safetensors.torch.save(tensors)

    def __setstate__(self, packed: tuple[Path, Any, bytes]) -> None:
        self.folder, plain, tensors = packed
        self.state = put_together(plain, safetensors.torch.load(tensors))

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.folder / "checkpoints"

    def weights(self, suffix: str) -> Path:
        """The file of the weights that are tested."""
        return self.folder / f"model{suffix}"

    def save(self, state: dict[str, Any], tensors: dict[str, Any], best: Path | None) -> None:
        """As :func:`store.save`."""
        store.save(self.checkpoints, state, tensors, best)

    def as_before(self, config: Any) -> Any:
        """``config`` for a model whose weights will be those of the state."""
        return pinned(config, self.state["run"]["backbone"] if self.state else None)

    def checked(self, facts: dict[str, Any]) -> dict[str, Any]:
        """``facts`` of the run, as they are when it goes on if they agree with those it began with.

        Raises :class:`UserError` for another split, other files and another frozen backbone. What may change a last bit
        is logged: another device, number of processes or threads, or version of a library.
        """
        before = self.state["run"] if self.state else facts
        if facts["split"] != before["split"]:
            raise UserError(
                f"{self.folder} is of another split (train {before['split']['train']}, not {facts['split']['train']}): "
                f"the data has changed; {_anew(self.folder)}"
            )
        if name := changed(before.get("files", facts["files"]), facts["files"]):
            raise UserError(f"{self.folder} is of other data ({name} has changed): {_anew(self.folder)}")
        now = facts["backbone"]["sha256"] if facts["backbone"] else None
        check_same(self.folder, before["backbone"], now, _anew(self.folder))
        for fact in ("device", "processes", "threads", "versions"):
            then, now = before.get(fact, facts[fact]), facts[fact]
            if then != now:
                getLogger().warning("%s: %s here, %s before; what follows may differ in last bits", fact, now, then)
        return facts

    def finish(self) -> None:
        """Remove the checkpoints, as the result is there."""
        if processes.is_main():
            store.remove(self.checkpoints)


def finished(config: Any, resume: Resume) -> Path | None:
    """The result that there is nothing to add to: of this configuration, and not older than what could go on.

    Raises :class:`UserError` where the data has changed since.
    """
    path = result_path(Path(config["result_dir"]) / config["dataset"], run_name(config), config["seed"])
    if resume is False or not path.exists():
        return None
    result = read_result(path)
    if result.get("config_hash") != config.digest():
        return None
    of_result = Path(result["weights"]).parent if isinstance(result.get("weights"), str) else None
    if resume is not True:
        asked = of_result is not None and _same(of_result, Path(resume))
        return _of_these_data(path, result, config) if asked else None
    for folder in _newest_first(home_of(config)):
        if of_result and _same(folder, of_result):
            break
        if store.exists(folder / "checkpoints"):
            return None
    return _of_these_data(path, result, config)


def _of_these_data(path: Path, result: dict[str, Any], config: Any) -> Path:
    if name := changed_since(result.get("files", {}), Path(config["data_path"])):
        raise UserError(f"{path} is of other data ({name} has changed): {_anew(path)}")
    return path


@contextmanager
def opened(config: Any, resume: Resume = False) -> Iterator[Run]:
    """The folder to run in, locked: one to go on in as ``resume`` says, or a new one.

    Raises :class:`UserError` for a folder in which another process trains, of another configuration, or without a
    checkpoint that is whole.
    """
    with ExitStack() as held:
        yield processes.from_main(lambda: _opened(held, config, resume))


def _opened(held: ExitStack, config: Any, resume: Resume) -> Run:
    home = home_of(config)
    if resume is True:
        folder = next((f for f in _newest_first(home) if store.exists(f / "checkpoints")), None)
    else:
        folder = Path(resume) if resume else None
    if folder is None:
        run = Run(_new(held, home))
        if resume is True:
            getLogger().info("no run of this configuration can go on: a new one, in %s", run.folder)
        return run
    run = Run(folder)
    _check_is_run(run)
    _lock(held, folder, PATIENCE)
    _check_is_run(run)  # who had it may have come to the end
    run.state = _state(run, config)
    getLogger().info("going on in %s, from %s", folder, run.state["words"])
    return run


def home_of(config: Any) -> Path:
    """The folder of all runs of a configuration."""
    name = f"{run_name(config)}-{config['seed']}-{config.digest()}"
    return Path(config["checkpoint_dir"]) / config["dataset"] / name


def run_name(config: Any) -> str:
    """What results are filed under."""
    return str(config["run_name"] or config["model"])


def _newest_first(home: Path) -> list[Path]:
    numbered = [path for path in home.glob("[0-9]*") if path.name.isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name), reverse=True)


def _new(held: ExitStack, home: Path) -> Path:
    """A folder that nobody has used; the last one, if all that was done there was to make it."""
    for number in count(max([1, *(int(path.name) for path in _newest_first(home))])):
        folder = home / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as tried, suppress(Timeout):
                tried.enter_context(FileLock(folder / LOCK, timeout=0))
                if {path.name for path in folder.iterdir()} <= {LOCK}:
                    held.push(tried.pop_all())
                    return folder
        except OSError as error:
            raise UserError(f"{folder}: {error.strerror}; set checkpoint_dir to a folder with room") from error
    raise AssertionError("there are numbers enough")


def _lock(held: ExitStack, folder: Path, patience: float) -> None:
    try:
        held.enter_context(FileLock(folder / LOCK, timeout=patience))
    except Timeout:
        raise UserError(
            f"another process trains in {folder}: wait for it, or start a run of its own, without --resume"
        ) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be locked: {error.strerror}; --resume needs to write there") from None


def _check_is_run(run: Run) -> None:
    if not store.exists(run.checkpoints):
        raise UserError(
            f"{run.folder} has no checkpoint to go on from: name the folder of a run that was stopped, as "
            "--resume=saved/ml-100k/CLLM4Rec-2020-HASH/1"
        )


def _state(run: Run, config: Any) -> dict[str, Any]:
    """The newest state, if it is of this configuration; the weights of its best epoch are put in their place."""
    newest = store.newest(run.checkpoints)
    assert newest is not None, "somebody else removed it, in spite of the lock"
    _check_facts(run.folder, newest.state)
    then, now = newest.state["run"]["config"], config.effective()
    if newest.state["run"]["config_hash"] != config.digest():
        changed = [f"{key} was {then.get(key)!r}, not {now.get(key)!r}" for key in now if then.get(key) != now[key]]
        raise UserError(
            f"{run.folder} is of another configuration: {'; '.join(changed[:3])}: ask for the same, or start anew, "
            "without --resume"
        )
    try:
        store.bring_back(newest.best, run.weights(".safetensors"))
    except OSError as error:
        raise UserError(f"{run.folder}: the best weights cannot be copied there ({error.strerror})") from error
    with restoring(run.folder):
        state: dict[str, Any] = put_together(newest.state, newest.tensors)
    return state


def _check_facts(folder: Path, state: dict[str, Any]) -> None:
    """Raise :class:`UserError` unless ``state`` says what run it is of: its bytes are right, but whose are they?"""
    facts = check_value(f"{folder}: run", dict[str, Any], state.get("run"))
    check_value(f"{folder}: words", str, state.get("words"))
    for key, kind in _FACTS.items():
        if key not in facts:
            raise UserError(
                f"{folder} does not say its run's {key}: no training saved this; start anew, without --resume"
            )
        check_value(f"{folder}: run.{key}", kind, facts[key])
    check_facts(f"{folder}: run.backbone", facts["backbone"])


def _anew(where: Path) -> str:
    """What to do where nothing can go on; a comparison has no other way than the second."""
    return f"start anew, without --resume, or move {where} away"


def _same(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve()
