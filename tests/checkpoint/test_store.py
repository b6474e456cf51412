"""Checkpoints on disk: whole or not there, and never taken for whole when they are not."""

import resource
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.checkpoint import store
from recbole_cllm4rec.checkpoint.store import DamagedError, load, newest, remove, save
from recbole_cllm4rec.errors import UserError

FILES = [store.TENSORS, store.STATE, store.BEST, store.MANIFEST]


def write(home: Path, number: int, best: Path | None = None) -> Path:
    return save(home, {"number": number}, {"w": torch.full((2, 3), float(number))}, best)


def numbers(home: Path) -> list[int]:
    """What the checkpoints say, oldest first."""
    return [load(path).state["number"] for path in sorted(home.iterdir())]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "run" / "checkpoints"


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """The best weights so far, whatever they are."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the best")
    return path


def test_what_is_saved_is_loaded(home: Path, best: Path) -> None:
    found = load(write(home, 7, best))
    assert found.state == {"number": 7}
    assert found.tensors["w"].tolist() == [[7.0] * 3] * 2
    assert found.best is not None
    assert found.best.read_bytes() == b"the best"
    assert load(write(home, 8)).best is None


def test_the_newest_and_the_one_before_it_are_kept(home: Path) -> None:
    for number in range(12):
        write(home, number)
    assert numbers(home) == [10, 11]
    assert newest(home).state == {"number": 11}


def test_there_may_be_none(home: Path) -> None:
    assert newest(home) is None
    assert not store.exists(home)
    remove(home)


def test_a_copy_of_the_best_weights_is_kept_whatever_becomes_of_them(home: Path, best: Path) -> None:
    write(home, 1, best)
    best.write_bytes(b"of a later epoch")
    store.bring_back(newest(home).best, best)
    assert best.read_bytes() == b"the best"
    store.bring_back(None, best)
    assert not best.exists()


class TestDamage:
    @pytest.mark.parametrize("name", FILES)
    def test_a_file_that_was_cut_short_is_named_and_the_checkpoint_before_is_used(
        self, name: str, home: Path, best: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(home, 1, best)
        file = write(home, 2, best) / name
        file.write_bytes(file.read_bytes()[:-1])
        assert newest(home).state == {"number": 1}
        assert str(file) in caplog.text
        write(home, 3)  # what is damaged counts no more
        assert [newest(home).state["number"], store.exists(home)] == [3, True]
        assert [load(home / number).state["number"] for number in ("000001", "000002")] == [1, 3]

    def test_twice_under_one_number(self, home: Path, best: Path) -> None:
        write(home, 1, best)
        for _ in range(2):
            file = write(home, 2, best) / FILES[0]
            file.write_bytes(file.read_bytes()[:-1])
            assert newest(home).state == {"number": 1}

    @pytest.fixture(scope="class")
    def one(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A checkpoint that is whole between the examples."""
        folder = tmp_path_factory.mktemp("damage")
        (folder / "model.safetensors").write_bytes(b"the best")
        return write(folder / "home", 1, folder / "model.safetensors")

    @given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
    def test_any_other_byte_anywhere_is_found(self, one: Path, name: str, where: float, change: int) -> None:
        whole = (one / name).read_bytes()
        content = bytearray(whole)
        content[int(where * len(content))] ^= change
        (one / name).write_bytes(content)
        try:
            with pytest.raises(DamagedError):
                load(one)
        finally:
            (one / name).write_bytes(whole)
        load(one)

    @pytest.mark.parametrize("mark", [b"\r", b" ", b"\xef\xbb\xbf"])
    def test_what_json_passes_over_is_found_in_a_manifest(self, mark: bytes, home: Path) -> None:
        file = write(home, 1) / store.MANIFEST
        file.write_bytes(mark + file.read_bytes())
        with pytest.raises(DamagedError, match=r"manifest.json is not as it was written$"):
            load(home / "000001")

    @pytest.mark.parametrize("name", FILES)
    def test_a_file_that_is_gone_is_found(self, name: str, home: Path, best: Path) -> None:
        folder = write(home, 1, best)
        (folder / name).unlink()
        with pytest.raises(DamagedError, match=f"{name} is missing"):
            load(folder)

    def test_where_none_is_whole_each_is_named(self, home: Path) -> None:
        for number in (1, 2):
            (write(home, number) / store.STATE).write_text("{}")
        with pytest.raises(UserError, match=r"no checkpoint is whole: .*000002/state.json .*000001/state.json .*anew"):
            newest(home)
        assert sorted(path.name for path in home.iterdir()) == ["000001", "000002"]


class TestASaveThatFails:
    @pytest.mark.parametrize("step", ["save_file", "_write_json", "sync", "rename"])
    def test_leaves_what_was_there(self, step: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        write(home, 1)
        with monkeypatch.context() as patch:
            patch.setattr(store, step, full)
            with pytest.raises(UserError, match=r"could not be saved \(No space left on device\); .*000001 is whole"):
                write(home, 2)
        assert numbers(home) == [1]
        write(home, 3)
        assert numbers(home) == [1, 3]

    def test_for_want_of_room(self, home: Path) -> None:
        write(home, 1)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(UserError, match=r"could not be saved \(.*\); .*000001 is whole: make room"):
                save(home, {"number": 2}, {"w": torch.zeros(5000)}, None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert numbers(home) == [1]

    def test_what_a_killed_process_left_goes(self, home: Path) -> None:
        write(home, 1)
        shutil.copytree(home / "000001", home / "000002.partial")
        assert newest(home).state == {"number": 1}
        write(home, 2)
        assert sorted(path.name for path in home.iterdir()) == ["000001", "000002"]
