"""The paper's metrics against sums done by hand."""

from math import log2
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recbole.evaluator.collector import DataStruct
from recbole.evaluator.metrics import Recall
from recbole.evaluator.register import metric_information, metric_types, metrics_dict, smaller_metrics
from recbole.utils import EvaluatorType

from recbole_cllm4rec import compat
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.metrics import CappedRecall, PaperScore, register

compat.apply()  # RecBole's NDCG needs np.float


def settings(*topk: int) -> dict[str, Any]:
    return {"topk": list(topk), "metric_decimal_place": 6}


def ranked(hits: list[set[int]], relevant: list[int], depth: int) -> DataStruct:
    """RecBole's record of an evaluation: the ranks of the hits and the number of relevant items of each user."""
    rows = [[int(rank in ranks) for rank in range(1, depth + 1)] + [n] for ranks, n in zip(hits, relevant, strict=True)]
    data = DataStruct()
    data.set("rec.topk", torch.tensor(rows))
    return data


def test_capped_recall() -> None:
    # User 1: 2 relevant items, found at ranks 1 and 4. User 2: 5 relevant items, found at ranks 2 and 3.
    data = ranked([{1, 4}, {2, 3}], [2, 5], depth=4)
    result = CappedRecall(settings(1, 3, 4)).calculate_metric(data)
    assert result == {
        "cappedrecall@1": (1 / 1 + 0 / 1) / 2,
        "cappedrecall@3": round((1 / 2 + 2 / 3) / 2, 6),
        "cappedrecall@4": (2 / 2 + 2 / 4) / 2,
    }


@given(arrays(np.bool_, (3, 8)), st.integers(0, 9))
def test_capped_recall_reaches_one_and_is_never_below_recall(hits: Any, others: int) -> None:
    relevant = np.maximum(hits.sum(axis=1) + others, 1)
    capped = CappedRecall(settings(8)).metric_info(hits, relevant)
    recall = Recall(settings(8)).metric_info(hits, relevant)
    assert (recall <= capped).all()
    assert (capped <= 1).all()
    few = relevant[:, None] <= np.arange(1, 9)
    assert np.array_equal(capped[few], recall[few])


def test_a_perfect_ranking_scores_one_at_every_k() -> None:
    capped = CappedRecall(settings(4)).metric_info(np.ones((1, 4), dtype=bool), np.array([9]))
    assert capped.tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize("topk", [(20, 40, 100), (10, 20, 40, 100, 120)])
def test_paper_score(topk: tuple[int, ...]) -> None:
    # User 1: 2 relevant items, found at ranks 1 and 30. User 2: 50 relevant items, ten found at ranks 1 to 10.
    data = ranked([{1, 30}, set(range(1, 11))], [2, 50], depth=max(topk))
    recall_20 = (1 / 2 + 10 / 20) / 2
    recall_40 = (2 / 2 + 10 / 40) / 2
    gain = [1 / log2(rank + 1) for rank in range(1, 101)]
    ndcg_100 = ((gain[0] + gain[29]) / sum(gain[:2]) + sum(gain[:10]) / sum(gain[:50])) / 2
    result = PaperScore(settings(*topk)).calculate_metric(data)
    assert result == {"paperscore": pytest.approx(recall_20 + recall_40 + ndcg_100, abs=1e-6)}


@pytest.mark.parametrize(("topk", "missing"), [((20, 40), 100), ((10,), 20), ((20, 100), 40)])
def test_paper_score_needs_its_cut_offs(topk: tuple[int, ...], missing: int) -> None:
    with pytest.raises(UserError, match=f"PaperScore needs 20, 40 and 100 in topk, which lacks {missing}"):
        PaperScore(settings(*topk))


def test_register() -> None:
    register()
    tables = [dict(table) for table in (metrics_dict, metric_information, metric_types)]
    register()
    assert tables == [metrics_dict, metric_information, metric_types]
    for name, metric in {"cappedrecall": CappedRecall, "paperscore": PaperScore}.items():
        assert metrics_dict[name] is metric
        assert metric_information[name] == ["rec.topk"]
        assert metric_types[name] == EvaluatorType.RANKING
        assert name not in smaller_metrics
