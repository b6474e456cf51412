"""Texts of like length side by side, so that hardly a token of a batch is padding."""

import numpy as np

from recbole_cllm4rec.backbone.base import IntArray


def batches_by_length(lengths: IntArray, size: int, max_tokens: int) -> list[IntArray]:
    """Indices of documents in batches of neighbouring lengths, from the shortest up.

    A batch has at most ``size`` documents and, padded, at most ``max_tokens`` tokens (one document may exceed that).
    """
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or end - start == size or (end - start + 1) * lengths[order[end]] > max_tokens:
            batches.append(order[start:end])
            start = end
    return batches
