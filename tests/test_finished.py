"""A finished run comes back as it was, or is refused in one line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shop import SMALL, shop_in

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure, run
from recbole_cllm4rec.finished import Trained, bring_back

MODELS = ["CLLM4Rec", "EASE", "BPR"]
EPOCH = {"epochs": 1, "eval_step": 1, "metric_decimal_place": 12}


@pytest.fixture(scope="module")
def home(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished run of each of ``MODELS``."""
    with shop_in(tmp_path_factory, "finished") as folder:
        of_backbone = {"backbone": str(bert), "max_length": 64, "precision": "float32"}
        for model, options in zip(MODELS, (of_backbone, {}, {}), strict=True):
            run(model, "shop", (), {**SMALL, **EPOCH, **options})
        yield folder


@pytest.fixture(autouse=True)
def _there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.fixture(params=MODELS)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(f"results/shop/{request.param}-2020.json")


def back(path: Path, **changed: object) -> Trained:
    """The run of ``path``, some facts of which are changed; a fact that is None is left out."""
    facts = json.loads(path.read_text()) | changed
    entry, config = configure(facts["model"], "shop", [path.with_suffix(".yaml")])
    return bring_back(path, {name: fact for name, fact in facts.items() if fact is not None}, entry, config)


def test_its_figures_are_those_of_the_run(path: Path) -> None:
    facts, trained = json.loads(path.read_text()), back(path)
    entry, config = configure(facts["model"], "shop", [path.with_suffix(".yaml")])
    trainer = entry.trainer(config, trained.model)
    for part in ("valid", "test"):
        assert trainer.evaluate(getattr(trained.parts, part), load_best_model=False) == pytest.approx(facts[part])


def test_the_weights_are_those_of_the_run(home: Path) -> None:
    path = Path("results/shop/CLLM4Rec-2020.json")
    stored = load_file(json.loads(path.read_text())["weights"])
    trained = back(path)
    assert trained.model.collaborative.items.equal(stored["collaborative.items"])
    assert not trained.model.training


def test_weights_that_are_gone_and_data_that_are_others(path: Path) -> None:
    with pytest.raises(UserError, match=r"saved/gone.pth, the weights of .*, is not there: go to its folder"):
        back(path, weights="saved/gone.pth")
    with pytest.raises(UserError, match="does not say where its weights are: repeat the run"):
        back(path, weights=None)
    split = json.loads(path.read_text())["split"]
    with pytest.raises(UserError, match=r"dataset 'shop' is not what .* was trained on"):
        back(path, split={**split, "test": "1:ab"})
    back(path, files=None)  # as runs of before were written
    with pytest.raises(UserError, match=r"is not what .* was trained on \(shop.item is another\): repeat the run"):
        back(path, files={**json.loads(path.read_text())["files"], "shop.item": "0" * 64})


def test_rows_in_another_order(home: Path) -> None:
    """Split by time they are split alike, but RecBole numbers users and items as they come, by which weights go."""
    by_time = {"eval_args.order": "TO", "eval_args.split": {"LS": "valid_and_test"}, "run_name": "by_time"}
    run("EASE", "shop", (), {**SMALL, **by_time})
    path, file = Path("results/shop/by_time-2020.json"), Path("dataset/shop/shop.inter")
    head, *rows = file.read_text().splitlines(keepends=True)
    try:
        file.write_text(head + "".join(reversed(rows)))
        with pytest.raises(UserError, match=r"'shop' is not what .* was trained on \(shop.inter is another\): repeat"):
            back(path)
    finally:
        file.write_text(head + "".join(rows))


def test_a_backbone_is_the_one_of_the_run_in_its_precision(home: Path) -> None:
    path = Path("results/shop/CLLM4Rec-2020.json")
    facts = json.loads(path.read_text())["backbone"]
    with pytest.raises(
        UserError, match=r"CLLM4Rec-2020.json has been trained over another backbone: .*, or repeat the"
    ):
        back(path, backbone={**facts, "sha256": "0" * 64})
    half = back(path, backbone={**facts, "trained": True, "precision": "bfloat16"})
    assert half.model.backbone.dtype is torch.bfloat16


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content.replace(b"a", b"b")])
def test_damaged_weights_are_told_without_what_a_library_says_of_them(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    weights = Path(json.loads(path.read_text())["weights"])
    whole = weights.read_bytes()
    weights.write_bytes(damage(whole))
    message = rf"^{weights} does not hold the weights of the run: it is damaged, or of another model; repeat the run$"
    try:
        with pytest.raises(UserError, match=message):
            back(path)
    finally:
        weights.write_bytes(whole)
