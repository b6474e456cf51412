"""Encoded texts on disk: what a frozen backbone makes of them is the same in every run, so that one run makes it."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from logging import getLogger
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recbole_cllm4rec import processes
from recbole_cllm4rec.backbone.base import IntArray
from recbole_cllm4rec.checkpoint.files import reason, rename, sync

FloatArray = npt.NDArray[np.float32]


def key(facts: dict[str, object], documents: Sequence[IntArray]) -> str:
    """A name for what a backbone of these ``facts`` makes of ``documents``, its tokenizer's ids of each text."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for ids in documents:
        digest.update(np.int64(len(ids)).tobytes() + ids.tobytes())
    return digest.hexdigest()[:24]


def stored(path: Path, shape: tuple[int, int], what: str, make: Callable[[], FloatArray]) -> FloatArray:
    """The sentences [M, K] of the file ``path``; made, and written there, where it is missing or damaged.

    ``what`` says in the log whose texts they are. A folder without room costs a line in the log and nothing else.
    """
    found = processes.from_main(lambda: _read(path, shape))
    if found is not None:
        getLogger().info("the text of %s is encoded already: %s", what, path)
        return found
    made = make()
    if processes.is_main():
        _write(path, made)
    return made


def _read(path: Path, shape: tuple[int, int]) -> FloatArray | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            sentences: FloatArray = arrays["sentences"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        getLogger().warning("%s cannot be read (%s): its texts are encoded anew", path, reason(error))
        return None
    if sentences.shape != shape or sentences.dtype != np.float32:
        getLogger().warning("%s holds something else: its texts are encoded anew", path)
        return None
    return sentences


def _write(path: Path, sentences: FloatArray) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, sentences=sentences)
        sync(temporary)
        rename(temporary, path)
    except OSError as error:
        getLogger().warning("%s could not be written (%s): the next run encodes its texts again", path, reason(error))
        temporary.unlink(missing_ok=True)
