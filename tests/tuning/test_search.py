"""One point of a space: its score is the validation part's, and nothing of the test part is looked at."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recbole_cllm4rec import experiment
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.tuning.search import PointError, Search, prepare

Prepare = Callable[..., Search]
REG = "reg_weight: {choices: [1.0, 1000.0]}"
RATE = "learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}"


class Unscorable:
    """A test part that nobody may look into."""

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the test part was read")


def test_the_score_is_that_of_the_best_epoch_on_validation(search: Prepare, shop: Path) -> None:
    found = search(RATE, "BPR", epochs=6)
    curve: list[float] = []
    score = found.evaluate({"learning_rate": 0.05}, shop, lambda epoch, score: curve.append(score))
    assert len(curve) == 6
    assert score == max(curve)
    again = experiment.fit(*experiment.configure("BPR", "shop", (), {**found.overrides, "learning_rate": 0.05}))
    assert score == again.valid["ndcg@3"]


def test_the_test_part_is_never_scored(search: Prepare, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(REG)
    split = experiment.split
    monkeypatch.setattr(experiment, "split", lambda *data: replace(split(*data), test=Unscorable()))
    assert 0 < found.evaluate({"reg_weight": 1.0}, shop) <= 1
    with pytest.raises(AssertionError, match="of the test part was read"):
        experiment.run("EASE", "shop", (), found.overrides)


class EnoughError(Exception):
    """Raised from a validation."""


@pytest.mark.parametrize("model", ["BPR", "EASE", "RecVAE", "SASRec"])
def test_what_is_raised_at_a_validation_ends_the_training_and_comes_through(
    model: str, search: Prepare, shop: Path
) -> None:
    epochs = []

    def stop(epoch: int, score: float) -> None:
        epochs.append(epoch)
        raise EnoughError

    found = search(RATE, model, epochs=5)
    with pytest.raises(EnoughError):
        found.evaluate({"learning_rate": 0.01}, shop, stop)
    assert epochs == [0]


def test_a_point_that_cannot_be_trained_is_told_from_a_search_that_cannot(search: Prepare, shop: Path) -> None:
    heads = search("n_heads: {choices: [2, 3]}", "SASRec", epochs=1)
    with pytest.raises(
        PointError, match=r"^RecBole refuses .*: The hidden size \(64\) is not a multiple of .* heads \(3\)$"
    ):
        heads.evaluate({"n_heads": 3}, shop)
    columns = search("rm_dup_inter: {choices: [first, last]}")
    with pytest.raises(UserError, match=r"^val_interval: tuning them changes the split") as caught:
        columns.evaluate({"val_interval": {"timestamp": "[0,40]"}}, shop)
    assert not isinstance(caught.value, PointError)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ("reg_wight: {low: 1, high: 2}", {}, "line 1: 'reg_wight' is not an option; did you mean 'reg_weight'?"),
        ("epochs: {choices: [1, many]}", {}, "line 1: epochs takes a whole number of at least 0, not 'many'"),
        ("learning_rate: {low: 0.0, high: 0.1}", {}, "line 1: learning_rate takes a number above 0, not 0.0"),
        ("dropout_prob: {low: 0.0, high: 0.5}", {}, "line 1: 'dropout_prob' is an option of"),
        ("\nseed: {low: 1, high: 9}", {}, "line 2: seed is the same for all trials"),
        ("eval_args.mode: {choices: [full]}", {}, "line 1: eval_args.mode is the same for all trials"),
        (REG, {"reg_weight": 5}, "line 1: reg_weight is tuned here and set to 5 too: leave out one of them"),
        (REG, {"eval_step": 0}, "eval_step is 0, so that nothing is validated"),
        (REG, {"eval_args.split.RS": [0.9, 0, 0.1]}, "dataset 'shop' has no validation part"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_it_starts(
    space: str, options: dict[str, Any], message: str, search: Prepare
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        search(space, **options)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(shop: Path) -> None:
    with pytest.raises(UserError, match="nowhere cannot be read"):
        prepare("EASE", "shop", Path("nowhere"))
