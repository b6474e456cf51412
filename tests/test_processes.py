"""Several processes give what one gives, end together, and write once."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import stopping
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from shop import SMALL, shop_in
from together import Told, joined, together
from torch import nn

from recbole_cllm4rec import cli, processes
from recbole_cllm4rec.checkpoint.weights import trained
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure, run
from recbole_cllm4rec.processes import group
from recbole_cllm4rec.recommending import load
from recbole_cllm4rec.training.trainer import StagedTrainer

FEW = {"max_batch_tokens": 100}
"""Batches and passes of one to three documents: some processes have nothing to do, and there is more than one pass."""

NO_PRIOR = {"training_prior": 0.0, "scoring_prior": 0.0}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "frozen": ("gpt2", {}),
    "lazy, sampled": ("bert", {"learner": "sparse_adam", "sampled_above": 0, "n_sampled": 2, **NO_PRIOR, **FEW}),
    "sharded": ("llama", {"shard_backbone": True, "token_init": "text", "loss_scope": "per-token", **FEW}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shop to run in."""
    with shop_in(tmp_path_factory, "processes") as folder:
        yield folder


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request: pytest.FixtureRequest, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one process gave, and what each of two gave."""
    backbone, changes = VARIANTS[request.param]
    options = stopping.options(request.getfixturevalue(backbone), metric_decimal_place=12, **changes)
    alone = train({**options, "run_name": f"{request.param}-1"})
    told = together(joined, train, {**options, "run_name": f"{request.param}-2"})
    return alone, [gave(one) for one in told]


def train(options: dict[str, Any], resume: bool = False) -> dict[str, Any]:
    """A run; the bytes of what it trained, and how many numbers of the backbone's layers this process held."""
    result: dict[str, Any] = {}
    really = StagedTrainer.evaluate

    def evaluate(self: StagedTrainer, *args: Any, **asked: Any) -> Any:
        result["bytes"] = b"".join(p.numpy().tobytes() for p in trained(self.model).values())
        layers: Any = self.model.backbone.layers.parameters()
        result["held"] = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in layers)
        return really(self, *args, **asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StagedTrainer, "evaluate", evaluate)
        return run("CLLM4Rec", "shop", (), options, resume) | result


def gave(told: Told) -> Any:
    assert told.code == 0, told.error
    return told.gave


def losses(result: dict[str, Any]) -> list[float]:
    return [value for record in result["history"] for name, value in record.items() if name.endswith("loss")]


class TestTraining:
    def test_losses_are_those_of_one_process(self, pair: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
        alone, both = pair
        assert len(losses(alone)) == 7  # an epoch of words, one of both passes, two of both
        for result in both:
            np.testing.assert_allclose(losses(result), losses(alone), rtol=1e-5)

    def test_so_are_figures_and_weights(self, pair: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
        alone, (main, other) = pair
        assert main["test"] == other["test"] == pytest.approx(alone["test"], rel=1e-5)
        assert main["valid"] == other["valid"] == pytest.approx(alone["valid"], rel=1e-5)
        found, expected = load_file(main["weights"]), load_file(alone["weights"])
        assert found.keys() == expected.keys()
        for name, weights in found.items():
            torch.testing.assert_close(weights, expected[name], rtol=1e-3, atol=1e-4)

    def test_the_processes_have_the_same_bits(self, pair: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
        _, (main, other) = pair
        assert main["bytes"] == other["bytes"]
        assert losses(main) == losses(other)

    def test_each_holds_its_share_of_a_sharded_backbone(
        self, pair: tuple[dict[str, Any], list[dict[str, Any]]]
    ) -> None:
        alone, both = pair
        shares = 2 if alone["config"]["shard_backbone"] else 1
        assert [result["held"] for result in both] == [alone["held"] / shares] * 2

    def test_the_result_is_written_once(self, pair: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
        alone, (main, _) = pair
        name = main["run"]
        written = json.loads(Path(f"results/shop/{name}-2020.json").read_text())
        assert (written["processes"], alone["processes"]) == (2, 1)
        assert written["test"] == main["test"]
        assert written["backbone"] == alone["backbone"]
        assert written["config_hash"] == alone["config_hash"]
        home = Path(written["weights"]).parents[1]
        assert [path.name for path in home.iterdir()] == ["1"]

    def test_figures_of_the_same_weights_are_the_same_bits(
        self, pair: tuple[dict[str, Any], list[dict[str, Any]]]
    ) -> None:
        path = Path(f"results/shop/{pair[0]['run']}-2020.json")
        alone = evaluated(path)
        for told in together(joined, evaluated, path):
            assert gave(told) == alone


def evaluated(path: Path) -> Any:
    """Figures of the test part, those of every user, and scores, of the weights of a run."""
    model, parts = load(path)
    entry, config = configure("CLLM4Rec", "shop", [path.with_suffix(".yaml")])
    trainer = entry.trainer(config, model)
    figures = trainer.evaluate(parts.test, load_best_model=False)
    of_users = {name: values.tolist() for name, values in trainer.per_user().items()}
    return dict(figures), of_users, [t.tolist() for t in model.recommend(np.arange(1, 13), 5)]


def test_dropout_draws_apart_and_goes_on_alike() -> None:
    (first, one), (second, other) = (gave(told) for told in together(joined, drawn))
    assert first != second
    assert one == other


def drawn() -> tuple[float, float]:
    with processes.own_draws(torch.device("cpu")):
        own = torch.rand(()).item()
    return own, torch.rand(()).item()


class TestResume:
    def test_two_go_on_where_two_were_stopped(self, folder: Path, gpt2: Path) -> None:
        """With dropout, so that the generators have to be what they were."""
        options = stopping.options(gpt2, run_name="resumed", train_backbone=True, pretrain_epochs=0, epochs=1)
        whole = gave(together(joined, train, options)[0])
        stopped = [told.error for told in together(joined, stopped_at, options, 4)]
        for error in stopped:
            assert "Stopped: stopped by SIGTERM, saved in saved/shop/resumed-2020-" in error
        again, _ = (gave(told) for told in reversed(together(joined, train, options, True)))
        stopping.same(again, whole)

    def test_one_goes_on_where_two_were_stopped(
        self, folder: Path, gpt2: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(arguments(gpt2, run_name="not stopped")) == 0
        told = together(stops, arguments(gpt2, run_name="stopped"), 6)
        assert [one.gave for one in told] == [128 + signal.SIGTERM] * 2
        stop, goes_on = [line for one in told for line in one.error.splitlines() if "INFO" not in line][-2:]
        assert stop.startswith("stopped by SIGTERM, saved in saved/shop/stopped-2020-")
        assert "".join(one.error for one in told).count("saved in") == 1
        assert goes_on.startswith("go on with: torchrun --nproc-per-node=2 run_recbole.py --model=CLLM4Rec ")
        capsys.readouterr()
        assert cli.main(shlex.split(goes_on)[6:]) == 0
        assert "processes: 1 here, 2 before; what follows may differ in last bits" in capsys.readouterr().err
        whole, alone = (json.loads(Path(f"results/shop/{r}-2020.json").read_text()) for r in ("not stopped", "stopped"))
        np.testing.assert_allclose(losses(alone), losses(whole), rtol=1e-5)


def stopped_at(options: dict[str, Any], step: int) -> None:
    """One of the processes is told to stop at its ``step``-th batch, and both do."""
    with pytest.MonkeyPatch.context() as patch:
        if not processes.is_main():
            stopping.stop_at(patch, "_step", step)
        run("CLLM4Rec", "shop", (), options)


def stops(argv: list[str], step: int) -> int:
    """The same of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ["RANK"] == "1":
            stopping.stop_at(patch, "_step", step)
        return cli.main(argv)


class TestTheEnd:
    def test_a_process_that_dies_ends_all_and_is_named(self, folder: Path, gpt2: Path) -> None:
        main, other = together(dies, arguments(gpt2, run_name="dead"))
        assert other.code == -signal.SIGKILL
        assert main.gave == 2
        assert main.error.strip().splitlines()[-1] == (
            "error: process 1 of 2 (counted from 0) has died, and the others end with it: go on with --resume"
        )
        assert not Path("results/shop/dead-2020.json").exists()

    def test_a_process_that_hangs_ends_all(self, folder: Path, gpt2: Path) -> None:
        main, _ = together(hangs, arguments(gpt2, run_name="hung"))
        assert main.gave == 2
        assert "error: the other processes do not answer (" in main.error

    def test_an_error_of_all_is_said_once(self, folder: Path, gpt2: Path) -> None:
        told = together(cli.main, ["--model=CLLM4Rec", "--dataset=shop", "--epoch=3"])
        assert [one.gave for one in told] == [2, 2]
        (line,) = "".join(one.error for one in told).strip().splitlines()
        assert line.startswith("error: 'epoch' is not an option")

    def test_an_error_of_the_main_one_is_everybodys(self, folder: Path, gpt2: Path) -> None:
        told = together(cli.main, [*arguments(gpt2), "--resume=nowhere"])
        assert [one.gave for one in told] == [2, 2]
        (line,) = [line for one in told for line in one.error.splitlines() if line.startswith("error: ")]
        assert line.startswith("error: nowhere has no checkpoint to go on from")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--model=BPR"], "BPR is trained by one process: leave out torchrun (legal with it: CLLM4Rec)"),
            (["--model=BPR", "--audit"], "--audit runs in one process: leave out torchrun"),
        ],
    )
    def test_what_is_for_one_process_says_so(self, folder: Path, options: list[str], message: str) -> None:
        told = together(
            cli.main, [*options, "--dataset=shop", *(f"--{key}={v}" for key, v in SMALL.items() if v != "")]
        )
        assert "".join(one.error for one in told).strip() == f"error: {message}"


def arguments(backbone: Path, **changes: Any) -> list[str]:
    options = {key: value for key, value in stopping.options(backbone, **changes).items() if key != "gpu_id"}
    return ["--model=CLLM4Rec", "--dataset=shop", *(f"--{key}={value}" for key, value in options.items())]


def dies(argv: list[str]) -> int:
    """One process is killed at its sixth batch, and the other looks for it until the system has buried it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group, "PATIENCE", 60)
        if os.environ["RANK"] == "1":
            stopping.stop_at(patch, "_step", 6, signal.SIGKILL)
        return cli.main(argv)


def hangs(argv: list[str]) -> int:
    """One process does nothing until the other has lost its patience."""
    ended = Path("hung.ended")

    def hang(*_: Any) -> None:
        while not ended.exists():
            sleep(0.1)
        os._exit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group, "TIMEOUT", timedelta(seconds=10))
        patch.setattr(group, "PATIENCE", 0.1)
        if os.environ["RANK"] == "1":
            patch.setattr(StagedTrainer, "_step", hang)
        try:
            return cli.main(argv)
        finally:
            ended.touch()


def test_torchrun(folder: Path, gpt2: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [*command, str(root / "run_recbole.py"), *arguments(gpt2, run_name="torchrun")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shop, test part, seed 2020") == 1
    result = json.loads(Path("results/shop/torchrun-2020.json").read_text())
    assert result["processes"] == 2
    np.testing.assert_allclose(
        losses(result), losses(run("CLLM4Rec", "shop", (), stopping.options(gpt2, run_name="beside"))), rtol=1e-5
    )


class TestTurns:
    @given(n=st.integers(0, 30), world=st.integers(1, 7))
    def test_every_piece_once_and_as_many_turns_for_all(self, n: int, world: int) -> None:
        before = group._here
        own, rounds = [], []
        for rank in range(world):
            group._here = group._Here(rank, world)
            turns = list(processes.turns(range(n)))
            own.append([piece for piece, mine in turns if mine])
            rounds.append(len(turns))
        group._here = before
        assert sorted(piece for pieces in own for piece in pieces) == list(range(n))
        assert set(rounds) == {-(-n // world)}
        assert max(map(len, own)) - min(map(len, own)) <= 1


class TestExchanges:
    def test_gradients_are_summed_dense_and_sparse(self) -> None:
        for told in together(joined, summed, world=3):
            dense, sparse, loss = gave(told)
            assert dense == [[6.0, 6.0], [6.0, 6.0]]
            assert sparse == [[0.0], [6.0], [0.0], [3.0]]  # row 1 of all, row 3 of the last
            assert loss == 6.0

    def test_rows_are_put_together_bit_for_bit(self) -> None:
        for told in together(joined, rows_put_together):
            assert gave(told) == ["-0.0", "1e-45", "nan", "-inf"]

    def test_what_differs_between_machines_is_named(self) -> None:
        for told in together(joined, differing):
            assert "UserError: split is 0 in process 0, but 1 in process 1: give all machines" in told.error


def summed() -> tuple[Any, Any, float]:
    value = float(processes.rank() + 1)
    dense, sparse = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(4, 1))
    dense.grad = torch.full((2, 2), value)
    rows = [[1], [1], [1, 3]][processes.rank()]
    sparse.grad = torch.sparse_coo_tensor([rows], [[value]] * len(rows), (4, 1))
    loss = processes.sum_gradients([dense, sparse], value)
    return dense.grad.tolist(), sparse.grad.to_dense().tolist(), loss


def rows_put_together() -> list[str]:
    values = torch.tensor([-0.0, 1e-45, torch.nan, -torch.inf])
    rows = torch.zeros(4, 1)
    rows[processes.rank() :: 2, 0] = values[processes.rank() :: 2]
    return [
        f"{value:.3g}".replace("1.4e-45", "1e-45") if value else str(value)
        for value in processes.put_together(rows).view(-1).tolist()
    ]


def differing() -> None:
    processes.check_same({"config_hash": "a", "split": processes.rank()})


def test_a_backbone_that_is_trained_is_not_sharded(folder: Path, gpt2: Path) -> None:
    with pytest.raises(UserError, match=r"^shard_backbone is for a backbone that stays as it is"):
        run("CLLM4Rec", "shop", (), stopping.options(gpt2, shard_backbone=True, train_backbone=True))
