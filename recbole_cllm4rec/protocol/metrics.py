"""The metrics of the CLLM4Rec paper that RecBole does not have, in RecBole's form."""

from typing import Any

import numpy as np
import numpy.typing as npt
from recbole.evaluator.base_metric import TopkMetric
from recbole.evaluator.metrics import NDCG
from recbole.evaluator.register import metric_information, metric_types, metrics_dict

from recbole_cllm4rec.errors import UserError

FloatArray = npt.NDArray[np.float64]


class CappedRecall(TopkMetric):
    r"""The share of the best possible number of hits: :math:`|\hat R_k(u) \cap R(u)| / \min(k, |R(u)|)`.

    It is the Recall of the CLLM4Rec paper, and :math:`R_{cap}@k` in the BEIR benchmark. RecBole's ``Recall`` divides by
    :math:`|R(u)|`, so that users with more than k relevant items cannot reach 1.
    """

    def calculate_metric(self, dataobject: Any) -> dict[str, float]:
        """The mean over users at every k of ``topk``, as ``cappedrecall@k``."""
        hits, relevant = self.used_info(dataobject)
        result: dict[str, float] = self.topk_result("cappedrecall", self.metric_info(hits, relevant))
        return result

    def metric_info(self, pos_index: npt.NDArray[np.bool_], pos_len: npt.NDArray[np.int64]) -> FloatArray:
        """Capped recall [users, K] at 1..K, from hits [users, K] and numbers of relevant items [users]."""
        k = np.arange(1, pos_index.shape[1] + 1)
        recall: FloatArray = pos_index.cumsum(axis=1) / np.minimum(k, pos_len[:, None])
        return recall


class PaperScore(TopkMetric):
    """The paper's criterion for the best epoch, one number: CappedRecall@20 + CappedRecall@40 + NDCG@100."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if missing := {20, 40, 100}.difference(self.topk):
            raise UserError(f"PaperScore needs 20, 40 and 100 in topk, which lacks {min(missing)}: topk is {self.topk}")
        self._recall, self._ndcg = CappedRecall(config), NDCG(config)

    def calculate_metric(self, dataobject: Any) -> dict[str, float]:
        """The mean over users, as ``paperscore``."""
        hits, relevant = self.used_info(dataobject)
        recall = self._recall.metric_info(hits, relevant).mean(axis=0)
        ndcg = self._ndcg.metric_info(hits, relevant).mean(axis=0)
        return {"paperscore": round(float(recall[20 - 1] + recall[40 - 1] + ndcg[100 - 1]), self.decimal_place)}


def register() -> None:
    """Make the metrics known to RecBole, which builds its tables of metrics from its own module alone."""
    for metric in (CappedRecall, PaperScore):
        name = metric.__name__.lower()
        metrics_dict[name] = metric
        metric_information[name] = metric.metric_need
        metric_types[name] = metric.metric_type
