"""Checkpoints on disk: each a folder that is whole or not there, in which a manifest tells every changed byte.

======================== ==========================================================================
``training.safetensors``  all tensors of the state
``state.json``            the rest of it, with a mark where each tensor belongs
``best.safetensors``      the weights of the best epoch so far, once there is one
``manifest.json``         size and sha256 of the others
======================== ==========================================================================

Nothing in it is code, and nothing is run that it holds.
"""

import json
import shutil
from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recbole_cllm4rec.checkpoint.files import reason, rename, sha256, sync
from recbole_cllm4rec.errors import UserError, shown

FORMAT = 1
KEPT = 2
"""Checkpoints of a run on disk: the newest, and the one before it should the newest be damaged."""
TENSORS, STATE, BEST, MANIFEST = "training.safetensors", "state.json", "best.safetensors", "manifest.json"
PARTIAL, DAMAGED = ".partial", ".damaged"


class DamagedError(Exception):
    """A checkpoint is not what was written: names the file and what is wrong with it."""


class Checkpoint(NamedTuple):
    """``state`` as JSON has it, its ``tensors`` by name, and the file of the ``best`` weights, if there are any."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]
    best: Path | None


def save(home: Path, state: dict[str, Any], tensors: dict[str, Tensor], best: Path | None) -> Path:
    """A new checkpoint in ``home``, with a copy of the file ``best``; older ones than the last before it are removed.

    Raises :class:`UserError` where it cannot be written, a full disk for instance; those before it stay as they are.
    """
    number = 1 + max(_numbers(home), default=0)
    target = home / f"{number:06d}"
    partial = target.with_name(target.name + PARTIAL)
    try:
        home.mkdir(parents=True, exist_ok=True)
        for left in home.glob(f"*{PARTIAL}"):  # by a process that was killed
            shutil.rmtree(left)
        partial.mkdir()
        _write(partial, state, tensors, best)
        rename(partial, target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(_lost(home, error)) from error
    for old in sorted(_numbers(home))[:-KEPT]:
        remove(home / f"{old:06d}")
    return target


def newest(home: Path) -> Checkpoint | None:
    """The newest checkpoint in ``home`` that is whole; None where there never was one.

    What is damaged is logged, and put aside, so that it counts no more. Raises :class:`UserError` where all are.
    """
    damages: dict[Path, str] = {}
    for number in sorted(_numbers(home), reverse=True):
        folder = home / f"{number:06d}"
        try:
            found = load(folder)
        except DamagedError as error:
            damages[folder] = str(error)
            continue
        for damaged, why in damages.items():
            getLogger().warning("a damaged checkpoint is passed over, the one before it is used: %s", why)
            aside = damaged.with_name(f"{damaged.name}{DAMAGED}")
            shutil.rmtree(aside, ignore_errors=True)  # an earlier one of this number
            damaged.rename(aside)
        return found
    if damages:
        why = "; ".join(damages.values())
        raise UserError(f"no checkpoint is whole: {why}; start anew, without --resume, or move {home.parent} away")
    return None


def load(folder: Path) -> Checkpoint:
    """A checkpoint, every byte compared with its manifest. Raises :class:`DamagedError`."""
    for name, facts in _manifest(folder).items():
        path = folder / name
        if not path.is_file():
            raise DamagedError(f"{path} is missing")
        if path.stat().st_size != facts["bytes"]:
            raise DamagedError(f"{path} has {path.stat().st_size} bytes, not {shown(facts['bytes'])}")
        if sha256(path) != facts["sha256"]:
            raise DamagedError(f"{path} has another sha256 than {folder / MANIFEST} says")
    best = folder / BEST
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
    except (ValueError, RecursionError, SafetensorError) as error:  # it was not this program that made the manifest
        raise DamagedError(f"{folder} holds what no training saved: {type(error).__name__}: {error}") from None
    if not isinstance(state, dict):
        raise DamagedError(f"{folder / STATE} holds no state")
    return Checkpoint(state, tensors, best if best.exists() else None)


def bring_back(best: Path | None, target: Path) -> None:
    """Put the best weights of a checkpoint where they were then; what later epochs wrote there goes."""
    if best is None:
        target.unlink(missing_ok=True)
        return
    partial = target.with_name(target.name + PARTIAL)
    shutil.copyfile(best, partial)
    sync(partial)
    rename(partial, target)


def exists(home: Path) -> bool:
    """Whether there is a checkpoint in ``home``, whole or not."""
    return any(True for _ in _numbers(home))


def remove(folder: Path) -> None:
    """Take away a checkpoint, or all of a folder of them: at once under its name, then byte after byte."""
    if folder.exists():
        partial = folder.with_name(folder.name + PARTIAL)
        shutil.rmtree(partial, ignore_errors=True)
        rename(folder, partial)
        shutil.rmtree(partial)


def _write(folder: Path, state: dict[str, Any], tensors: dict[str, Tensor], best: Path | None) -> None:
    save_file(tensors, folder / TENSORS)
    _write_json(folder / STATE, state)
    if best is not None:
        shutil.copyfile(best, folder / BEST)
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())}
    _write_json(folder / MANIFEST, {"format": FORMAT, "files": files})
    for path in folder.iterdir():
        sync(path)
    sync(folder)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(_as_json(content), encoding="utf-8")


def _as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _manifest(folder: Path) -> dict[str, Any]:
    """File -> size and hash."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DamagedError(f"{path} is missing")
    try:
        text = path.read_text(encoding="utf-8")
        manifest = json.loads(text)
        files: dict[str, Any] = manifest["files"]
        facts = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
        if text != _as_json(manifest):  # spaces, keys twice, marks: what JSON does not tell from what was written
            raise ValueError(text)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise DamagedError(f"{path} is not as it was written") from None
    if manifest.get("format") != FORMAT:
        raise DamagedError(f"{path} is of format {shown(manifest.get('format'))}, not {FORMAT}")
    if not {TENSORS, STATE} <= set(facts) <= {TENSORS, STATE, BEST}:
        raise DamagedError(f"{path} is of {shown([*facts])}, not of {TENSORS} and {STATE}")
    return files


def _numbers(home: Path) -> Iterator[int]:
    return (int(path.name) for path in home.glob("[0-9]*") if path.name.isdecimal())


def _lost(home: Path, error: Exception) -> str:
    kept = max(_numbers(home), default=None)
    last = f"; {home / f'{kept:06d}'} is whole" if kept is not None else ""
    return f"{home}: a checkpoint could not be saved ({reason(error)}){last}: make room there and go on with --resume"
