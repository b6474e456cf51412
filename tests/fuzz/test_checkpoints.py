"""Checkpoints: manifests, states and tensors of somebody else's making, and links in their place."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzzing import cases, ground, judged, refuses
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_tree, values

from recbole_cllm4rec.checkpoint import store
from recbole_cllm4rec.checkpoint.store import DamagedError, load, newest
from recbole_cllm4rec.errors import UserError

FILES = [store.MANIFEST, store.STATE, store.TENSORS]
MANIFEST = {
    "format": 1,
    "files": {name: {"bytes": 9, "sha256": "0" * 64} for name in (store.TENSORS, store.STATE, store.BEST)},
}


@pytest.fixture(scope="module")
def checkpoint(stopped: Path) -> Path:
    """The newest checkpoint of a CLLM4Rec that was stopped."""
    return max(stopped.glob("saved/shop/*/1/checkpoints/0*"))


@pytest.fixture(scope="module")
def words(stopped: Path) -> list[str]:
    """The command that goes on with it."""
    return [*(stopped / "words").read_text().split("\n"), "--resume"]


def _resealed(folder: Path) -> None:
    """Make the manifest agree with what is there, as somebody would who changed it on purpose."""
    content = {
        name: (folder / name).read_bytes()
        for name in (store.TENSORS, store.STATE, store.BEST)
        if (folder / name).exists()
    }
    facts = {name: {"bytes": len(it), "sha256": hashlib.sha256(it).hexdigest()} for name, it in content.items()}
    _write_manifest(folder, {"format": 1, "files": facts})


def _write_manifest(folder: Path, manifest: Any) -> None:
    """In the very form of a training's, as any other is damage."""
    (folder / store.MANIFEST).write_text(json.dumps(manifest, separators=(",", ":"), default=str))


def _only(folder: Path, name: str) -> Iterator[Path]:
    """The file ``name`` of the only checkpoint in a copy of the run's folder."""
    (home,) = folder.glob("saved/shop/*/1/checkpoints")
    *older, last = sorted(home.glob("0*"))
    for other in older:
        shutil.rmtree(other)
    yield last / name


@cases(2)
@given(data=st.data(), name=st.sampled_from(FILES))
def test_bytes(data: st.DataObject, name: str, checkpoint: Path) -> None:
    whole = (checkpoint / name).read_bytes()
    with ground(checkpoint) as folder:
        (folder / name).write_bytes(content := data.draw(changed_bytes(whole)))
        assert refuses(lambda: load(folder), DamagedError) or content == whole


@cases(2)
@given(manifest=changed_tree(MANIFEST) | values)
@example(manifest={**MANIFEST, "files": {"../../secret": {"bytes": 1, "sha256": ""}, **MANIFEST["files"]}})
@example(manifest={**MANIFEST, "files": {"/etc/passwd": {"bytes": 1, "sha256": ""}, **MANIFEST["files"]}})
@example(manifest={**MANIFEST, "format": 10**400})
@example(manifest={"format": 1, "files": []})
def test_manifests(manifest: Any, checkpoint: Path) -> None:
    with ground(checkpoint) as folder:
        _write_manifest(folder, manifest)
        assert refuses(lambda: load(folder), DamagedError)


@cases(1)
@given(data=st.data(), name=st.sampled_from([store.STATE, store.TENSORS]))
def test_bytes_under_a_manifest_that_agrees(data: st.DataObject, name: str, checkpoint: Path) -> None:
    with ground(checkpoint) as folder:
        (folder / name).write_bytes(data.draw(changed_bytes((checkpoint / name).read_bytes())))
        _resealed(folder)
        refuses(lambda: load(folder), DamagedError)


@cases(0.2)
@given(data=st.data())
def test_a_state_of_another_making_is_not_gone_on_with(
    data: st.DataObject, checkpoint: Path, words: list[str], stopped: Path
) -> None:
    whole = json.loads((checkpoint / store.STATE).read_text())
    state = data.draw(
        changed_tree(whole, st.none() | st.integers(-3, 3) | st.text(max_size=3) | st.just({}) | st.just([]))
    )
    with ground(stopped) as folder:
        for path in _only(folder, store.STATE):
            path.write_text(json.dumps(state))
            _resealed(path.parent)
        judged(words)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["loop", "nowhere", "folder", "pipe"])
def test_what_is_no_file(name: str, kind: str, checkpoint: Path, words: list[str], stopped: Path) -> None:
    with ground(stopped) as folder:
        for path in _only(folder, name):
            path.unlink()
            match kind:
                case "loop":
                    path.symlink_to(path)
                case "nowhere":
                    path.symlink_to("/nowhere/at/all")
                case "folder":
                    path.mkdir()
                case "pipe":
                    os.mkfifo(path)
        ended = judged(words)
        assert "no checkpoint is whole" in ended.line
        assert f"{name} is missing; start anew, without --resume" in ended.line


def test_what_is_no_checkpoint_at_all(tmp_path: Path) -> None:
    (tmp_path / "000001").write_text("a file")
    with pytest.raises(UserError, match=r"no checkpoint is whole: .*000001/manifest.json is missing"):
        newest(tmp_path)
