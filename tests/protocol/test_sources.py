"""The files of a run: told by their bytes, and named where one has changed."""

from pathlib import Path

from recbole_cllm4rec.protocol.sources import changed, changed_since, digest


def test_the_first_that_differs_is_named() -> None:
    assert changed({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) is None
    assert changed({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "0", "c": "0"}) == "b"
    assert changed({"a": "1"}, {"a": "1", "b": "2"}) == changed({"a": "1", "b": "2"}, {"a": "1"}) == "b"


def test_bytes_are_what_counts(tmp_path: Path) -> None:
    file = tmp_path / "shop.item"
    file.write_bytes(b"one")
    then = {"shop.item": digest(file)}
    assert then["shop.item"].startswith("7692c3ad3540bb803c020b3aee66cd88")  # of sha256sum
    assert changed_since(then, tmp_path) is None
    assert changed_since({}, tmp_path) is None  # a run that does not say
    file.write_bytes(b"two")
    assert changed_since(then, tmp_path) == "shop.item"
    file.unlink()
    assert changed_since(then, tmp_path) == "shop.item"
