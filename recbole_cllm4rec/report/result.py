"""One run as a file: figures, and everything needed to believe or repeat them."""

import io
import json
import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.yamlio import dump_yaml

PACKAGES = ("recbole_cllm4rec", "recbole", "torch", "transformers", "numpy", "pandas", "scipy")

_CODE = ("--", ".", ":(exclude)results")
"""What git is asked of."""


def write_result(
    result: dict[str, Any], per_user: dict[str, npt.NDArray[Any]], curves: dict[str, bytes], folder: Path
) -> Path:
    """``<folder>/<run>-<seed>.json``, written last, so that where it is, the others are.

    Beside it: the configuration as a yaml that ``--config_files`` accepts; ``<run>-<seed>.users.npz`` with ``users``,
    their raw ids [U], and the metrics of each user [U], where there are any; and a chart of the training,
    ``<run>-<seed>.curves`` with the suffixes of ``curves``. Raises :class:`UserError` where the files cannot be
    written, a full disk for instance; what was there before stays whole.
    """
    path = result_path(folder, result["run"], result["seed"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # the name of a run may name a folder too
        users = path.with_suffix(".users.npz")
        if per_user:
            arrays = io.BytesIO()
            np.savez_compressed(arrays, allow_pickle=False, **per_user)
            write_whole(users, arrays.getvalue())
        else:
            users.unlink(missing_ok=True)
        for suffix, chart in curves.items():
            write_whole(path.with_suffix(f".curves{suffix}"), chart)
        write_whole(path.with_suffix(".yaml"), dump_yaml(result["config"]).encode())
        write_whole(path, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; set result_dir to a folder with room") from error
    return path


def result_path(folder: Path, run: str, seed: int) -> Path:
    """Where the figures of a run are."""
    return folder / f"{run}-{seed}.json"


def versions() -> dict[str, str]:
    """Versions of the packages that figures depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> dict[str, Any] | None:
    """Hash and dirty flag of the checkout that this code runs from; None for an installed copy.

    Results are no code: where they are kept in the checkout, every run of a table would make the next one dirty.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return {"hash": head, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no", *_CODE))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=True).stdout.strip()


def write_whole(path: Path, content: bytes) -> None:
    """The file as a whole or not at all: a killed process or a full disk leaves what was there before."""
    temporary = path.with_name(path.name + ".partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
