"""RecBole's models have the figures here that RecBole's own functions give them on RecBole's own split."""

from pathlib import Path
from typing import Any

import pytest
from recbole.config import Config as StockConfig
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed

from recbole_cllm4rec import compat
from recbole_cllm4rec.experiment import run

PROTOCOL = {
    "seed": 2020,
    "reproducibility": True,
    "gpu_id": "",
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "order": "RO", "mode": "full"},
    "metrics": ["Recall", "NDCG"],
    "topk": [20, 40, 100],
    "valid_metric": "NDCG@100",
    "metric_decimal_place": 6,
    "show_progress": False,
}


def stock(model: str, **options: Any) -> dict[str, float]:
    """Test figures, by the steps of RecBole's quick start."""
    config = StockConfig(model, "ml-100k", config_dict={**PROTOCOL, **options})
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    train, valid, test = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], config["reproducibility"])
    net = get_model(model)(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, net)
    trainer.fit(train, valid, saved=True, show_progress=False)
    return dict(trainer.evaluate(test, load_best_model=True))


# Whatever a recipe of ours sets is said to both.
BPR = {"epochs": 2, "eval_step": 1, "embedding_size": 64, "learning_rate": 0.001, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("model", "options"),
    [("EASE", {"reg_weight": 250.0}), ("BPR", BPR), ("MultiVAE", {"epochs": 5, "eval_step": 5})],
)
def test_figures_are_those_of_recbole(
    model: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compat.apply()  # RecBole 1.2.1 does not run on today's numpy and torch without
    ours = run(model, "ml-100k", (), {**PROTOCOL, **options})
    theirs = stock(model, **options)
    assert len(theirs) == 6
    for metric, value in theirs.items():
        assert ours["test"][metric] == pytest.approx(value, abs=5e-5), metric
