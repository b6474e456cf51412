"""The reference against the package: other ways to one and the same loss."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from benchmarks.cases import _drawn
from benchmarks.run import prepare
from recbole_cllm4rec.corpus.batching import collate

PASSES = ["content", "collaborative", "recommendation"]


@pytest.fixture
def both(location, lengths, settings):
    """A workload and its reference, the two views apart so that there is something to regularise."""
    workload, reference = prepare(location, lengths, settings, lambda_c=3.0)
    for ours, plain in (("collaborative", 30.0), ("content", 50.0)):
        with torch.no_grad():
            for table in (*getattr(workload.model, ours).parameters(), *getattr(reference, ours).parameters()):
                table.mul_(plain)
    return SimpleNamespace(workload=workload, reference=reference)


@pytest.mark.parametrize("name", PASSES)
def test_loss_and_gradients_are_the_packages(both, name):
    current = both.workload.passes[name]
    documents, layouts = _drawn(current, range(9), np.random.default_rng(0))
    assert len({len(layout.ids) for layout in layouts}) > 1  # there is padding
    n_words = both.workload.vocabulary.n_words
    both.workload.model.zero_grad()
    mine = current.loss(collate(documents, layouts, n_words))
    mine.backward()
    plain = getattr(both.reference, f"{name}_loss")(documents, layouts)
    plain.backward()
    assert plain.item() == pytest.approx(mine.item(), rel=1e-4)
    view = "content" if name == "content" else "collaborative"
    tables, rows = getattr(both.reference, view), getattr(both.workload.model, view)
    assert rows.items.grad.to_dense().abs().max() > 0
    for table, row in ((tables.users.weight, rows.users), (tables.items.weight, rows.items)):
        torch.testing.assert_close(table.grad, row.grad.to_dense(), rtol=1e-3, atol=1e-5)


def test_scores_are_the_packages(both):
    model = both.workload.model.eval()
    users = torch.arange(1, 26)
    mine = model.full_sort_predict(Interaction({"user": users})).view(len(users), -1)
    layouts = [model.backbone.lay_out_question(*model.prediction(int(user))) for user in users]
    torch.testing.assert_close(both.reference.scores(layouts), mine, rtol=1e-3, atol=1e-3)
