"""Fetching public files: resumed where they broke off, compared with the known sha256, named when complete."""

import hashlib
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from dataset_prep.registry import Remote
from recbole_cllm4rec.errors import UserError

TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 18  # bytes


def fetch(remote: Remote, folder: Path) -> Path:
    """The file in ``folder``, fetched unless it is there. What has come so far stands in ``NAME.part``.

    Raises UserError where the file cannot be reached, is not complete, or differs from the sha256 of the registry.
    """
    path = folder / remote.name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{remote.name}.part"
    try:
        _append(remote.url, part)
    except HTTPError as error:
        raise UserError(
            f"{remote.url} answers {error.code} ({error.reason}): put {remote.name} into {folder} by hand and repeat "
            "the command"
        ) from error
    except (OSError, HTTPException) as error:  # URLError, a timeout and a reset connection are OSErrors
        if isinstance(error, OSError) and error.errno is not None and part.is_file() and not _can_grow(part):
            raise
        reason = getattr(error, "reason", None) or error or type(error).__name__
        so_far = f"{part.stat().st_size:,} bytes are kept in {part}; " if part.is_file() else ""
        raise UserError(
            f"{remote.url} cannot be fetched ({reason}): {so_far}repeat the command once there is a network, or put "
            f"{remote.name} into {folder} by hand"
        ) from error
    if remote.sha256 and (found := _sha256(part)) != remote.sha256:
        part.unlink()
        raise UserError(
            f"{remote.url} has sha256 {found}, not {remote.sha256} as it had: it was damaged on its way, or replaced; "
            f"repeat the command, or put a file that you trust into {folder} as {remote.name}"
        )
    part.rename(path)
    return path


def _append(url: str, part: Path) -> None:
    """Fetch what the file lacks; from the start where the server does not serve parts of a file."""
    start = part.stat().st_size if part.is_file() else 0
    try:
        answer = urlopen(Request(url, headers={"Range": f"bytes={start}-"} if start else {}), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":  # all bytes have come
            return
        answer = urlopen(url, timeout=TIMEOUT)  # more than all: another file has taken its place
    with answer:
        resumed = answer.status == 206
        have = start if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        name = url.rpartition("/")[2]
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=f"fetching {name}", delay=5) as bar,
        ):
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"broke off after {part.stat().st_size:,} of {total:,} bytes")


def _can_grow(part: Path) -> bool:
    return shutil.disk_usage(part.parent).free > BLOCK


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
