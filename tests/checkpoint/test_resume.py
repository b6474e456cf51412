"""Which folder a run goes on in, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import stopping
import torch
from filelock import FileLock
from shop import SMALL, build_shop

from recbole_cllm4rec.checkpoint import resume, store
from recbole_cllm4rec.checkpoint.interrupts import Stopped
from recbole_cllm4rec.checkpoint.resume import LOCK, opened
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure, run


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resume, "PATIENCE", 0.1)
    build_shop(tmp_path)


def train(backbone: Path, resume: bool | str = False, **changes: Any) -> dict[str, Any]:
    return run("CLLM4Rec", "shop", (), stopping.options(backbone, **changes), resume)


def stopped(patch: pytest.MonkeyPatch, backbone: Path, resume: bool | str = False, **changes: Any) -> Path:
    """The folder of a run that was stopped."""
    with patch.context() as scope:
        stopping.stop_at(scope, "_step", 4)
        with pytest.raises(Stopped) as stop:
            train(backbone, resume, **changes)
    return Path(stop.value.folder)


class TestFolders:
    def test_of_a_configuration_are_numbered(self, bert: Path) -> None:
        folders = [Path(train(bert)["weights"]).parent for _ in range(2)]
        assert [folder.name for folder in folders] == ["1", "2"]
        assert folders[0].parent == folders[1].parent
        assert folders[0].parent.name.startswith("CLLM4Rec-2020-")
        assert Path(train(bert, lambda_c=2.0)["weights"]).parent.parent != folders[0].parent

    def test_a_name_is_part_of_it(self, bert: Path) -> None:
        assert "/mine-7-" in train(bert, run_name="mine", seed=7)["weights"]

    def test_models_of_recbole_have_them_too(self) -> None:
        folders = [Path(run("EASE", "shop", (), SMALL)["weights"]) for _ in range(2)]
        assert [path.name for path in folders] == ["model.pth", "model.pth"]
        assert all(path.is_file() for path in folders)
        assert folders[0].parent.parent == folders[1].parent.parent != folders[0].parent

    def test_one_that_was_only_made_is_used(self) -> None:
        _, config = configure("EASE", "shop", (), SMALL)
        for _ in range(2):
            with opened(config) as run:
                assert run.folder.name == "1"

    def test_two_at_once_have_one_each(self) -> None:
        _, config = configure("EASE", "shop", (), SMALL)
        with opened(config) as first, opened(config) as second:
            assert [first.folder.name, second.folder.name] == ["1", "2"]


class TestChoice:
    def test_the_newest_that_was_stopped(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert [stopped(monkeypatch, bert).name for _ in range(2)] == ["1", "2"]
        assert Path(train(bert, resume=True)["weights"]).parent.name == "2"

    def test_a_folder(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first, _ = (stopped(monkeypatch, bert) for _ in range(2))
        assert Path(train(bert, resume=str(first))["weights"]).parent == first

    def test_where_there_is_none_a_new_one(self, bert: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert Path(train(bert, resume=True, state="INFO")["weights"]).parent.name == "1"
        assert "no run of this configuration can go on: a new one" in caplog.text

    def test_what_is_finished_is_reported(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped(monkeypatch, bert)
        result = train(bert)
        files = {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
        monkeypatch.setattr("recbole_cllm4rec.experiment.fit", lambda *_, **__: pytest.fail("it runs again"))
        assert train(bert, resume=True) == result
        assert train(bert, resume=str(Path(result["weights"]).parent)) == result
        assert {path: path.read_bytes() for path in files} == files

    def test_a_later_run_that_was_stopped_goes_before_a_finished_one(
        self, bert: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = train(bert)
        folder = stopped(monkeypatch, bert)
        again = train(bert, resume=True)
        assert Path(again["weights"]).parent == folder
        stopping.same(again, first)

    def test_models_of_recbole_are_run_anew_or_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = run("EASE", "shop", (), SMALL, resume=True)
        assert run("EASE", "shop", (), SMALL, resume=True) == result
        assert run("EASE", "shop", (), {**SMALL, "reg_weight": 3.0}, resume=True) != result


class TestRefusals:
    def test_a_folder_without_a_checkpoint(self, bert: Path) -> None:
        with pytest.raises(UserError, match=r"^nowhere has no checkpoint to go on from: name the folder"):
            train(bert, resume="nowhere")

    def test_a_folder_of_another_configuration(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = stopped(monkeypatch, bert)
        with pytest.raises(UserError, match=r"of another configuration: lambda_c was 0.01, not 2.0: ask"):
            train(bert, resume=str(folder), lambda_c=2.0)

    def test_a_folder_in_which_somebody_trains(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = stopped(monkeypatch, bert)
        with FileLock(folder / LOCK), pytest.raises(UserError, match=f"another process trains in {folder}: "):
            train(bert, resume=True)

    def test_data_that_changed(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped(monkeypatch, bert)
        file = Path("dataset/shop/shop.inter")
        file.write_text(file.read_text() + "u1\ti99\t999\n")
        with pytest.raises(UserError, match=r"is of another split .*: the data has changed"):
            train(bert, resume=True)

    @pytest.mark.parametrize("by_folder", [False, True])
    def test_texts_that_changed_in_a_training_and_after_it(
        self, by_folder: bool, bert: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same pairs, and so the same split."""
        folder = stopped(monkeypatch, bert)
        resume = str(folder) if by_folder else True
        file = Path("dataset/shop/shop.item")
        before = file.read_text()
        file.write_text(before.replace("red", "violet"))
        with pytest.raises(
            UserError, match=r"is of other data \(shop.item has changed\): start anew, .* or move saved"
        ):
            train(bert, resume=resume)
        file.write_text(before)
        train(bert, resume=resume)
        file.write_text(before.replace("red", "violet"))
        with pytest.raises(UserError, match=r"CLLM4Rec-2020.json is of other data \(shop.item has changed\): start"):
            train(bert, resume=resume)

    def test_a_backbone_that_changed(self, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped(monkeypatch, bert)
        monkeypatch.setattr("recbole_cllm4rec.backbone.base.Backbone.fingerprint", lambda self: "0" * 64)
        with pytest.raises(UserError, match=r"over another backbone: .* has sha256 000000000000…, not "):
            train(bert, resume=True)

    def test_damage_is_named_and_the_one_before_is_used(
        self, bert: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        whole = train(bert)
        folder = stopped(monkeypatch, bert, checkpoint_minutes=0)
        newest = sorted((folder / "checkpoints").iterdir())[-1]
        content = bytearray((newest / store.TENSORS).read_bytes())
        content[-1] ^= 1
        (newest / store.TENSORS).write_bytes(content)
        stopping.same(train(bert, resume=True), whole)
        assert f"{newest / store.TENSORS} has another sha256" in caplog.text


def test_another_number_of_threads_is_said(
    bert: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(monkeypatch, bert)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    train(bert, resume=True)
    assert "threads: 64 here, 1 before; what follows may differ in last bits" in caplog.text


def test_a_measured_precision_is_kept(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_cllm4rec.backbone.precision._faster", lambda device: torch.bfloat16)
    whole = train(bert, precision="auto")
    stopped(monkeypatch, bert, precision="auto")
    monkeypatch.setattr("recbole_cllm4rec.backbone.precision._faster", lambda device: torch.float32)
    again = train(bert, precision="auto", resume=True)
    stopping.same(again, whole)
    assert again["backbone"]["precision"] == "bfloat16"
    assert again["config"] == whole["config"]
    assert json.loads(Path("results/shop/CLLM4Rec-2020.json").read_text())["config_hash"] == whole["config_hash"]
