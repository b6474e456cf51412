"""Texts to vectors: the mean of a backbone's last states, as sentence encoders pool them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from recbole_cllm4rec import processes
from recbole_cllm4rec.backbone.base import Backbone, Layout
from recbole_cllm4rec.backbone.lengths import batches_by_length
from recbole_cllm4rec.backbone.stored import FloatArray, key, stored

MAX_BATCH_TOKENS = 16384
"""Of a padded batch, where nobody says otherwise."""


@torch.no_grad()
def encode_sentences(
    backbone: Backbone,
    texts: Sequence[str],
    what: str,
    show_progress: bool,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
    folder: Path | None = None,
) -> tuple[Tensor, Tensor]:
    """Indices [M] of the texts that have a word, and the mean state of each [M, K] in float32, where the backbone is.

    A text too long for the backbone loses its end. ``what`` says in the progress bar whose texts they are;
    ``max_batch_tokens`` caps a padded batch. In ``folder`` they are looked up, and left for the next time.
    """
    words = backbone.words(texts)
    found = [i for i, ids in enumerate(words) if len(ids)]
    room = backbone.max_length - backbone.overhead
    layouts = [backbone.lay_out_words(words[i][:room]) for i in found]
    device = backbone.word_embeddings.device

    def make() -> FloatArray:
        return _encode(backbone, layouts, what, show_progress, max_batch_tokens).cpu().numpy()

    if folder is None or not found:
        sentences = make()
    else:
        facts = {
            "weights": backbone.fingerprint(),
            "kind": type(backbone).__name__,
            "device": device.type,
            "max_length": backbone.max_length,
            "max_batch_tokens": max_batch_tokens,
        }
        name = key(facts, [layout.ids for layout in layouts])
        sentences = stored(folder / f"{name}.npz", (len(found), backbone.hidden_size), what, make)
    return torch.tensor(found, dtype=torch.long), torch.from_numpy(sentences).to(device)


def _encode(
    backbone: Backbone, layouts: Sequence[Layout], what: str, show_progress: bool, max_batch_tokens: int
) -> Tensor:
    """Mean states [M, K] of M texts."""
    lengths = np.array([len(layout.ids) for layout in layouts], dtype=np.int64)
    sentences = torch.zeros(len(layouts), backbone.hidden_size, device=backbone.word_embeddings.device)
    training = backbone.training
    backbone.eval()  # the dropout of one that is to be trained would blur the texts
    with tqdm(
        total=len(layouts), desc=f"encode the text of {what}", unit="text", disable=not (show_progress and layouts)
    ) as bar:
        for rows, own in processes.turns(batches_by_length(lengths, len(layouts), max_batch_tokens)):
            means = _mean_states(backbone, [layouts[r] for r in rows])
            if own:
                sentences[torch.from_numpy(rows)] = means
            bar.update(min(len(rows) * processes.world(), len(layouts) - bar.n))
    backbone.train(training)
    return processes.put_together(sentences)


def _mean_states(backbone: Backbone, layouts: Sequence[Layout]) -> Tensor:
    """Means [B, K] of the states that each layout reads."""
    device = backbone.word_embeddings.device
    ids = pad_sequence([torch.from_numpy(layout.ids) for layout in layouts], batch_first=True).to(device)  # [B, T]
    lengths = torch.tensor([len(layout.ids) for layout in layouts], device=device)
    mask = torch.arange(ids.shape[1], device=device) < lengths[:, None]
    shares = torch.zeros(ids.shape)
    for row, layout in zip(shares, layouts, strict=True):
        row[torch.from_numpy(layout.reads)] = 1 / len(layout.reads)
    states = backbone(nn.functional.embedding(ids, backbone.word_embeddings), mask).float()  # [B, T, K]
    return torch.einsum("bt,btk->bk", shares.to(device), states)
