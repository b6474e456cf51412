"""Recommendations of a finished run as a file of raw ids, made a block of users at a time."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor
from tqdm import tqdm

from recbole_cllm4rec.corpus.text import IntArray
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure
from recbole_cllm4rec.finished import Trained, bring_back
from recbole_cllm4rec.model.ranking import best_of
from recbole_cllm4rec.protocol.reading import read, together
from recbole_cllm4rec.report.rows import read_result

BLOCK = 4096  # users of a model that ranks by itself
SCORES = 2**25  # held at once of a model that scores all items of a user; in float32 128 MB
RANKED = (ModelType.GENERAL, ModelType.KNOWLEDGE, ModelType.TRADITIONAL)  # models that need no more than a user's id


def recommend(run: Path, k: int, out: Path) -> int:
    """Write the ``k`` best items of every user to ``out``, a CSV of user, item, rank and score; the number of rows.

    ``run`` is the run's result file. Ids are raw ones. Items that a user has in any part of the data are left out, and
    a model that reads histories reads them all, of validation and test too. Where fewer than ``k`` are left, there are
    fewer rows. Raises :class:`UserError` where a file is not there or of other data, and for models that need more
    than a user's id.
    """
    if out.exists():
        raise UserError(f"--out {out} exists: give another name, or delete it")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}; make it")
    trained = load(run)
    data = trained.train
    users, items = data.field2id_token[data.uid_field], data.field2id_token[data.iid_field]
    temporary = out.with_name(out.name + ".partial")
    rows = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([data.uid_field, data.iid_field, "rank", "score"])
            for some, best, scores in _ranked(trained, k):
                for user, of_user, score in zip(users[some], best, scores, strict=True):
                    kept = score > -torch.inf
                    pairs = zip(items[of_user[kept].numpy()], score[kept].tolist(), strict=True)
                    writer.writerows((user, item, rank, f"{s:.6g}") for rank, (item, s) in enumerate(pairs, start=1))
                    rows += int(kept.sum())
        temporary.replace(out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; give --out a folder with room") from error
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def load(run: Path) -> Trained:
    """The model of a run as its training left it, to read all that its users have. Raises as :func:`recommend`."""
    result, settings = read_result(run), run.with_suffix(".yaml")
    entry, config = configure(result["model"], result["dataset"], [settings], {})
    kind: Any = entry.model
    if kind.type not in RANKED:
        raise UserError(f"--recommend ranks for models that need a user's id alone, which {result['model']} is not")
    trained = bring_back(run, result, entry, config)
    read(trained.model, together(trained.parts.parts))
    return trained


@torch.no_grad()
def _ranked(trained: Trained, k: int) -> Iterator[tuple[IntArray, Tensor, Tensor]]:
    """Blocks of users [B], their best items [B, k] and scores [B, k], which are −inf where no item is left."""
    data = trained.train
    seen = together(trained.parts.parts).histories()
    own = hasattr(trained.model, "recommend")
    size = BLOCK if own else max(1, SCORES // data.item_num)
    k = min(k, data.item_num - 1)
    with tqdm(total=data.user_num - 1, desc="recommend", unit="user") as bar:
        for start in range(1, data.user_num, size):
            some = np.arange(start, min(start + size, data.user_num))
            known = [seen[user] for user in some]
            if own:
                best, scores = trained.model.recommend(some, k, excluded=known)
            else:
                best, scores = _best(trained, some, known, k)
            yield some, best.cpu(), scores.cpu()
            bar.update(len(some))


def _best(trained: Trained, users: IntArray, known: list[IntArray], k: int) -> tuple[Tensor, Tensor]:
    """Of a model that scores all items; ties go to the lower id."""
    model, data = trained.model, trained.train
    name = type(model).__name__
    asked = Interaction({data.uid_field: torch.from_numpy(users)}).to(model.device)
    try:
        scores = model.full_sort_predict(asked).view(len(users), -1)[:, : data.item_num].float()
    except NotImplementedError:
        raise UserError(f"--recommend needs a model that scores all items at once, unlike {name}") from None
    return best_of(scores, k, known)
