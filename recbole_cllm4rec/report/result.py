"""One run as a file: figures, and everything needed to believe or repeat them."""

import json
import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recbole_cllm4rec.yamlio import dump_yaml

PACKAGES = ("recbole_cllm4rec", "recbole", "torch", "transformers", "numpy", "pandas", "scipy")


def write_result(result: dict[str, Any], folder: Path) -> Path:
    """``<folder>/<run>-<seed>.json``, and beside it the configuration as a yaml that ``--config_files`` accepts."""
    stem = f"{result['run']}-{result['seed']}"
    path = folder / f"{stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)  # the name of a run may name a folder too
    _write_whole(folder / f"{stem}.yaml", dump_yaml(result["config"]))
    _write_whole(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path


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
    """Hash and dirty flag of the checkout that this code runs from; None for an installed copy."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return {"hash": head, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=True).stdout.strip()


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
