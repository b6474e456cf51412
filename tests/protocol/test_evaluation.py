"""Full-sort evaluation: ties, figures of users, and agreement with trec_eval."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytrec_eval
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.evaluator import Collector
from torch import Tensor

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.experiment import configure
from recbole_cllm4rec.protocol.evaluation import FairTies, UserFigures
from recbole_cllm4rec.protocol.split import split

METRICS = ["Recall", "NDCG", "CappedRecall", "MRR", "MAP", "Precision", "Hit"]
TOPK = [1, 3, 5]


@pytest.fixture(scope="module")
def config() -> Config:
    options = {"metrics": METRICS, "topk": TOPK, "valid_metric": "NDCG@5", "gpu_id": "", "metric_decimal_place": 12}
    return configure("Pop", "ml-100k", overrides=options)[1]


@pytest.fixture(scope="module")
def listing(config: Config) -> Config:
    """As ``config``, with a metric of the items that are recommended."""
    options = {"metrics": [*METRICS, "ItemCoverage"], "topk": TOPK, "valid_metric": "NDCG@5", "gpu_id": ""}
    return configure("Pop", "ml-100k", overrides=options)[1]


def items(*tokens: str) -> Any:
    return SimpleNamespace(iid_field="item", field2id_token={"item": np.array(["[PAD]", *tokens])})


def evaluate(collector: Collector, scores: Tensor, relevant: Tensor) -> dict[str, float]:
    """Metrics of scores [U, J] in two batches, ``relevant`` [U, J] being true where an item is held out."""
    for rows in (slice(0, 1), slice(1, None)):
        if len(scores[rows]):
            collector.eval_batch_collect(scores[rows].clone(), None, *relevant[rows].nonzero(as_tuple=True))
    figures: dict[str, float] = UserFigures(collector.config).evaluate(collector.get_data_struct())
    return figures


def ours(config: Config, scores: Tensor, relevant: Tensor, tokens: list[str]) -> dict[str, float]:
    collector = FairTies(config)
    collector.arrange(items(*tokens))
    return evaluate(collector, scores, relevant)


@st.composite
def rankings(draw: st.DrawFn, levels: int) -> tuple[Tensor, Tensor]:
    """Scores of U users for J items and a padding item, of so many levels, and what is relevant to each."""
    users, n_items = draw(st.integers(1, 4)), draw(st.integers(6, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ranks = np.stack([rng.permutation(n_items) % levels for _ in range(users)])
    scores = torch.full((users, n_items + 1), -torch.inf)
    scores[:, 1:] = torch.from_numpy(ranks).float()
    relevant = torch.zeros_like(scores, dtype=torch.bool)
    relevant[:, 1:] = torch.from_numpy(rng.random((users, n_items)) < 0.3)
    relevant[torch.arange(users), torch.from_numpy(rng.integers(1, n_items + 1, users))] = True
    return scores, relevant


def names(scores: Tensor) -> list[str]:
    return [f"item {i}" for i in range(1, scores.shape[1])]


class TestTies:
    @given(rankings(levels=100))
    def test_without_ties_it_is_recboles(self, config: Config, ranking: tuple[Tensor, Tensor]) -> None:
        assert ours(config, *ranking, names(ranking[0])) == evaluate(Collector(config), *ranking)

    @given(rankings(levels=2), st.integers(0, 2**32))
    def test_relabelled_ids_change_nothing(self, config: Config, ranking: tuple[Tensor, Tensor], seed: int) -> None:
        scores, relevant = ranking
        tokens = names(scores)
        order = np.random.default_rng(seed).permutation(len(tokens))
        columns = torch.from_numpy(np.r_[0, order + 1])
        relabelled = ours(config, scores[:, columns], relevant[:, columns], [tokens[i] for i in order])
        assert relabelled == ours(config, scores, relevant, tokens)

    def test_recboles_own_goes_by_id(self, config: Config) -> None:
        scores, relevant = torch.zeros(1, 9), torch.zeros(1, 9, dtype=torch.bool)
        scores[0, 0] = -torch.inf
        first, last = relevant.clone(), relevant.clone()
        first[0, 1], last[0, 8] = True, True
        stock = [evaluate(Collector(config), scores, held_out)["hit@5"] for held_out in (first, last)]
        assert stock[0] != stock[1]

    def test_the_items_of_a_list_are_items(self, listing: Config) -> None:
        scores = torch.tensor([[-torch.inf, 5, 4, 3, 2, 1, 0, 0], [-torch.inf, 0, 1, 2, 3, 4, 5, 6]])
        relevant = torch.zeros_like(scores, dtype=torch.bool)
        relevant[:, 1] = True
        collector = FairTies(listing)
        collector.arrange(items(*names(scores)))
        collector.data_struct.set("data.num_items", 8)
        for _ in range(2):
            for row in range(2):
                one = scores[row : row + 1].clone()
                collector.eval_batch_collect(one, None, *relevant[row : row + 1].nonzero(as_tuple=True))
            found = collector.get_data_struct()
            assert found.get("rec.items").tolist() == [[1, 2, 3, 4, 5], [7, 6, 5, 4, 3]]
            assert UserFigures(listing).evaluate(found)["itemcoverage@5"] == 7 / 8

    def test_recboles_own_fails_at_counts(self, listing: Config) -> None:
        collector = Collector(listing)
        collector.data_struct.set("data.num_items", 8)
        with pytest.raises(AttributeError, match="cpu"):
            collector.get_data_struct()


class TestAgainstTrecEval:
    """trec_eval is the reference implementation of these metrics; it breaks ties by name, so it gets our order."""

    @given(rankings(levels=3))
    def test_random_rankings_with_ties(self, listing: Config, ranking: tuple[Tensor, Tensor]) -> None:
        scores, relevant = ranking
        collector = FairTies(listing)
        collector.data_struct.set("data.num_items", scores.shape[1])
        collector.arrange(items(*names(scores)))
        for user in range(len(scores)):
            collector.eval_batch_collect(
                scores[user : user + 1].clone(), None, *relevant[user : user + 1].nonzero(as_tuple=True)
            )
        ranked = collector.data_struct.get("rec.items").tolist()
        agree(listing, collector, ranked, [held_out.nonzero().flatten().tolist() for held_out in relevant])


def agree(config: Config, collector: Collector, ranked: list[list[int]], relevant: list[list[int]]) -> None:
    """Every user's figures, beside trec_eval's of the same ranking."""
    evaluator = UserFigures(config)
    evaluator.evaluate(collector.get_data_struct())
    found = evaluator.per_user(TOPK)
    judged = {str(user): {str(item): 1 for item in held_out} for user, held_out in enumerate(relevant)}
    run = {str(u): {str(i): float(-place) for place, i in enumerate(top)} for u, top in enumerate(ranked)}
    measures = {"recall": "recall", "ndcg": "ndcg_cut", "precision": "P", "hit": "success"}
    cuts = ",".join(map(str, TOPK))
    theirs = pytrec_eval.RelevanceEvaluator(judged, {f"{name}.{cuts}" for name in measures.values()}).evaluate(run)
    for user in range(len(ranked)):
        for k in TOPK:
            for name, measure in measures.items():
                assert found[f"{name}@{k}"][user] == pytest.approx(theirs[str(user)][f"{measure}_{k}"], abs=1e-6)
            capped = found[f"recall@{k}"][user] * len(relevant[user]) / min(k, len(relevant[user]))
            assert found[f"cappedrecall@{k}"][user] == pytest.approx(capped, abs=1e-6)


def test_on_a_real_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"metrics": [*METRICS, "ItemCoverage"], "topk": TOPK, "valid_metric": "NDCG@5", "gpu_id": ""}
    entry, config = configure("Pop", "ml-100k", overrides={**options, "show_progress": False})
    parts = split(config, entry.dataset(config))
    trainer = entry.trainer(config, entry.model(config, parts.train._dataset))
    trainer.fit(parts.train, None, saved=False)
    trainer.evaluate(parts.test, load_best_model=False)  # sets up what a batch needs
    relevant: list[list[int]] = []
    for batch in parts.test:
        _, scores, users, held_out = trainer._full_sort_batch_eval(batch)
        trainer.eval_collector.eval_batch_collect(scores, None, users, held_out)
        relevant += [held_out[users == row].tolist() for row in range(len(scores))]
    ranked = trainer.eval_collector.data_struct.get("rec.items").tolist()
    assert len(ranked) == len(parts.test.uid_list) == 943
    agree(config, trainer.eval_collector, ranked, relevant)


def test_users_average_to_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry, config = configure("Pop", "ml-100k", overrides={"gpu_id": "", "show_progress": False})
    parts = split(config, entry.dataset(config))
    trainer = entry.trainer(config, entry.model(config, parts.train._dataset))
    trainer.fit(parts.train, None, saved=False)
    result = trainer.evaluate(parts.test, load_best_model=False)
    means = {name: float(values.mean()) for name, values in trainer.per_user().items()}
    assert means == pytest.approx({name: result[name] for name in means}, abs=2e-6)
    assert set(means) == {f"{m}@{k}" for m in ("recall", "ndcg", "cappedrecall") for k in (20, 40, 100)}
    assert trainer.scoring_seconds > 0
