"""Files that outlive a loss of power: content first, then the name."""

import hashlib
import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait till a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(temporary: Path, target: Path) -> None:
    """Give a file or a folder, written and synced, its final name; in place of a file that has it."""
    temporary.replace(target)
    sync(target.parent)


def sha256(path: Path) -> str:
    """Of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason(error: Exception) -> str:
    """Why a file could not be written, in one line: libraries wrap what the system says."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())
