"""Every change of a lead is the one that it says it is."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from torch import Tensor

from benchmarks import changes
from benchmarks.changes import AveragingTrainer, DroppingHead, NoUserHead
from recbole_cllm4rec.corpus.batching import Batch
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.model.head import PooledHead

POOLED_BY_HAND = {
    "item_head": "pooled",
    "content_view": False,
    "token_init": "text",
    "training_prior": 0.5,
    "scoring_prior": 2.0,
    "reg_weight": 0.5,
    "mask_share": 0.7,
    "pretrain_epochs": 0,
}
PLAIN = 5, 3, False, 0.0
USERS, ROWS, ITEMS = torch.eye(2, 3), torch.tensor([0, 0, 1]), torch.arange(9.0).view(3, 3)


def read(head: PooledHead) -> Tensor:
    """What a head makes of two questions, two items shown in the first and one in the other."""
    with torch.no_grad():
        return head(None, USERS, ROWS, ITEMS)


class TestHeads:
    def test_no_user_token(self):
        torch.testing.assert_close(read(PooledHead(*PLAIN)) - read(NoUserHead(*PLAIN)), USERS)

    def test_items_are_dropped_in_training_alone(self):
        torch.manual_seed(0)
        head = DroppingHead(*PLAIN)
        several = torch.stack([read(head) for _ in range(200)])
        assert len(several.unique(dim=0)) == 8  # each of three items, there or not
        torch.testing.assert_close(read(head.eval()), read(PooledHead(*PLAIN)))


def test_weights_are_averaged_for_the_validation_alone(monkeypatch):
    model = torch.nn.Linear(1, 1, bias=False)
    trainer = AveragingTrainer.__new__(AveragingTrainer)
    trainer.model, seen = model, []
    steps = iter([1.0, 2.0])
    base = changes.StagedTrainer
    monkeypatch.setattr(base, "_step", lambda self, *_: model.weight.data.fill_(next(steps)) and 0.0)
    monkeypatch.setattr(base, "_validate", lambda self, *_: seen.append(model.weight.item()))
    trainer._step(SimpleNamespace(), None)
    trainer._step(SimpleNamespace(), None)
    trainer._validate()
    assert seen == [pytest.approx(changes.DECAY * 1 + (1 - changes.DECAY) * 2)]
    assert model.weight.item() == 2.0


class TestLosses:
    """What a lead adds to the loss of the recipe."""

    @staticmethod
    def added(make, folder, shift=0.0) -> tuple[float, CLLM4Rec, Batch]:
        """The loss on one batch, its tokens moved by ``shift``, over that of the recipe; the model and the batch."""
        config = toy.options(folder, **POOLED_BY_HAND)
        losses = []
        for kind in (CLLM4Rec, make):
            torch.manual_seed(0)
            model = kind(config, SimpleNamespace(num={"user": 4, "item": 6}.get, corpus=lambda: toy.CORPUS))
            model.collaborative.items.data += shift
            (batch,) = toy.stages(config, model)[-1].passes[0].batches(toy.First())
            losses.append(model.recommendation_loss(batch).item())
        return losses[1] - losses[0], model, batch

    def test_residuals_are_kept_small(self, bert):
        assert self.added(changes.near_text(0.5), bert)[0] == pytest.approx(0, abs=1e-5)
        added, model, batch = self.added(changes.near_text(0.5), bert, shift=0.1)
        of_items = (batch.entities >= model.vocabulary.item(0)).sum().item()
        expected = 0.5 * of_items * model.backbone.hidden_size * 0.1**2 / 2 / len(batch)
        assert added == pytest.approx(expected, rel=1e-3)

    def test_tokens_are_told_by_their_texts(self, bert, monkeypatch):
        monkeypatch.setattr(changes, "SHARPNESS", 1.0)  # of few tokens, each of which is its own text
        added, model, batch = self.added(changes.aligned(1.0), bert)
        items = (batch.entities[batch.entities >= model.vocabulary.item(0)] - model.vocabulary.item(0)).unique()
        own = torch.nn.functional.normalize(model.collaborative.items.detach()[items])
        told = torch.log_softmax(own @ own.T / changes.SHARPNESS, dim=1).diagonal()
        assert told.sum() < -0.1
        assert added == pytest.approx(-told.sum().item() / len(batch), rel=1e-3)

    def test_scores_are_told_the_priors(self, bert):
        added, model, batch = self.added(changes.distilled(1.0), bert)
        total = 0.0
        for row, user in enumerate(model._users(batch).tolist()):
            rows, items = model._shown(batch)
            shown = items[rows == row]
            offset = model.prior.offsets(torch.tensor([user]), torch.zeros_like(shown), shown)[0, 1:]
            teacher = torch.softmax(offset / 0.5, dim=0)
            logits = model.item_logits(model.question_states(batch, model.collaborative.rows()))[row, 1:]
            total -= (teacher * torch.log_softmax(logits, dim=0)).sum().item()
        assert added == pytest.approx(total / len(batch), rel=1e-3)


@pytest.mark.parametrize(
    ("lead", "moves", "reads"),
    [(CLLM4Rec, False, True), (changes.MovedUser, True, True), (changes.UnheardUser, False, False)],
)
def test_what_the_language_model_reads_of_users(lead, moves, reads, bert):
    config = toy.options(bert, **POOLED_BY_HAND | {"item_head": "both"})
    model = lead(config, SimpleNamespace(num={"user": 4, "item": 6}.get, corpus=lambda: toy.CORPUS))
    heard = model.heard(model.collaborative.rows()).users
    assert heard.requires_grad is moves
    assert bool(heard.any()) is reads


def test_several_orders_are_averaged(bert):
    config = toy.options(bert, item_head="state")
    shop_of_toys = SimpleNamespace(num={"user": 4, "item": 6}.get, corpus=lambda: toy.CORPUS)
    torch.manual_seed(0)
    model = changes.SeveralOrders(config, shop_of_toys).eval()
    users = np.array([1, 2, 3])
    with torch.no_grad():
        mean, parent = model.user_states(users), CLLM4Rec.user_states
        model._orders = np.random.default_rng(0)
        each = [parent(model, users) for _ in range(changes.ORDERS)]
    torch.testing.assert_close(mean, sum(each) / changes.ORDERS)
    assert not torch.equal(each[0][0], each[1][0])  # of three items
    torch.testing.assert_close(each[0][2], each[1][2])  # of one
