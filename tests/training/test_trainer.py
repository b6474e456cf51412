"""A training that is stopped anywhere and gone on with ends as the one that never was."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stopping
from shop import shop_in

from recbole_cllm4rec.checkpoint import store
from recbole_cllm4rec.checkpoint.interrupts import Stopped
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import run

VARIANTS: dict[str, dict[str, Any]] = {
    "frozen": {"token_init": "text", "metrics": ["NDCG", "GAUC"]},
    "trained, sampled": {
        "train_backbone": True,
        "sampled_above": 0,
        "n_sampled": 2,
        "training_prior": 0.0,
        "scoring_prior": 0.0,
        "clip_grad_norm": {"max_norm": 1},
    },
    "paper": {"variant": "paper"},
    "lazy, released code": {"learner": "sparse_adam", "variant": "released-code"},
    "stopped early": {"epochs": 6, "stopping_step": 0, "learning_rate": 1e-4},
    "no validation at the end": {"eval_step": 0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shop to run in."""
    with shop_in(tmp_path_factory, "trainer") as folder:
        yield folder


@pytest.fixture(scope="module", params=VARIANTS)
def whole(request: pytest.FixtureRequest, folder: Path, gpt2: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options, and the result of a run that nobody stopped."""
    options = stopping.options(gpt2, run_name=request.param, **VARIANTS[request.param])
    return options, run("CLLM4Rec", "shop", (), options)


@pytest.mark.parametrize(("method", "time"), [("_step", 2), ("_step", 9), ("_valid_epoch", 1)])
def test_it_ends_as_if_nobody_had_stopped_it(
    whole: tuple[dict[str, Any], dict[str, Any]], method: str, time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, result = whole
    if method == "_valid_epoch" and not options["eval_step"]:
        pytest.skip("nothing is validated")
    with monkeypatch.context() as patch:
        stopping.stop_at(patch, method, time)
        with pytest.raises(Stopped):
            run("CLLM4Rec", "shop", (), options)
    again = run("CLLM4Rec", "shop", (), options, resume=True)
    stopping.same(again, result)
    assert not (Path(again["weights"]).parent / "checkpoints").exists()


def test_stopped_at_every_batch_and_once_more_when_it_goes_on(
    folder: Path, gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = stopping.options(gpt2, run_name="often", pretrain_epochs=0, epochs=1)
    result = run("CLLM4Rec", "shop", (), options)
    stops = 0
    while True:
        with monkeypatch.context() as patch:
            stopping.stop_at(patch, "_step", 1, signal.SIGINT)
            try:
                again = run("CLLM4Rec", "shop", (), options, resume=stops > 0)
            except Stopped:
                stops += 1
            else:
                break
    assert stops > 5
    stopping.same(again, result)


def test_killed_in_the_test_only_the_test_is_repeated(
    folder: Path, gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = stopping.options(gpt2, run_name="tested", pretrain_epochs=0, epochs=1)
    result = run("CLLM4Rec", "shop", (), options)
    with monkeypatch.context() as patch:
        patch.setattr("recbole_cllm4rec.experiment._per_user", lambda fitted: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("CLLM4Rec", "shop", (), options)
    monkeypatch.setattr("recbole_cllm4rec.training.trainer.StagedTrainer._step", lambda *_: pytest.fail("trained"))
    stopping.same(run("CLLM4Rec", "shop", (), options, resume=True), result)


def test_seconds_of_all_processes_count(folder: Path, gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = stopping.options(gpt2, run_name="timed")
    with monkeypatch.context() as patch:
        stopping.stop_at(patch, "_step", 9)
        with pytest.raises(Stopped) as stop:
            run("CLLM4Rec", "shop", (), options)
    checkpoint = sorted(Path(stop.value.folder, "checkpoints").iterdir())[-1]
    path = checkpoint / store.STATE
    state = json.loads(path.read_text())
    state["timings"]["content"] += 1000
    path.write_text(json.dumps(state))
    manifest = {"format": store.FORMAT, "files": {}}
    for file in [file for file in checkpoint.iterdir() if file.name != store.MANIFEST]:
        manifest["files"][file.name] = {"bytes": file.stat().st_size, "sha256": store.sha256(file)}
    (checkpoint / store.MANIFEST).write_text(json.dumps(manifest, separators=(",", ":")))
    seconds = run("CLLM4Rec", "shop", (), options, resume=True)["seconds"]
    assert seconds["training: content"] > 1000
    assert seconds["training"] > 1000


def test_only_what_is_trained_is_stored(folder: Path, gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = stopping.options(gpt2, run_name="stored", item_head="both", pool_attention=True, shared_words=True)
    stopping.stop_at(monkeypatch, "_step", 1)
    with pytest.raises(Stopped) as stop:
        run("CLLM4Rec", "shop", (), options)
    found = store.newest(Path(stop.value.folder, "checkpoints"))
    assert found is not None
    tables = [f"model.{view}.{kind}" for view in ("collaborative", "content") for kind in ("items", "users")]
    tables += ["model.collaborative.shared.rows", *(f"model.head.{name}" for name in ("bias", "log_gains", "query"))]
    assert sorted(name for name in found.tensors if name.startswith("model")) == sorted(tables)
    assert len(found.state["run"]["backbone"]["sha256"]) == 64


def test_no_room_is_one_line_and_the_checkpoint_before_goes_on(
    folder: Path, gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = stopping.options(gpt2, run_name="full", checkpoint_minutes=0)
    result = run("CLLM4Rec", "shop", (), options)
    saves = iter(range(1, 10**6))
    write = store._write

    def full(*args: Any) -> None:
        write(*args)
        if next(saves) == 7:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", full)
        with pytest.raises(UserError, match=r"could not be saved \(No space left on device\); .*000006 is whole"):
            run("CLLM4Rec", "shop", (), options)
    stopping.same(run("CLLM4Rec", "shop", (), options, resume=True), result)
