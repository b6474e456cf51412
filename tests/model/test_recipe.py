"""What the recipe adds to the paper's model: shared words, the pooled head and the prior, by hand."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from byhand import ByHand, apart, build, passes, scores, table

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model import prior
from recbole_cllm4rec.model.cllm4rec import NOTHING, CLLM4Rec
from recbole_cllm4rec.model.likeliest import RECENCIES, Likeliest
from recbole_cllm4rec.model.view import SharedRows

PAST_THE_STATE = {
    "item_head": "both",
    "pool_attention": True,
    "user_shrink": 5.0,
    "shared_words": True,
    "training_prior": 0.5,
    "scoring_prior": 2.0,
    "tfidf_weight": 0.0,
    "reg_weight": 0.5,
    "mask_share": 0.7,
}


@pytest.mark.parametrize("name", ["bert", "gpt2"])
class TestPastTheState:
    """Shared words, the pooled head and the prior: in training and in scoring."""

    @staticmethod
    def learnt(folder, **changes) -> CLLM4Rec:
        """A model whose rows of words and biases are not where they start."""
        texts = ["", "red lip stick", "blue lip liner", "", "green hair oil, red", ""]  # of shared words
        corpus = replace(toy.CORPUS, item_texts=texts)
        model = apart(toy.build(toy.options(folder, **{**PAST_THE_STATE, **changes}), corpus))
        model.head.bias.data = torch.tensor([9.0, 0.1, -0.2, 0.3, 0.0, 0.4])
        torch.nn.init.normal_(model.head.query)
        return model

    @staticmethod
    def attention(model, items) -> np.ndarray:
        """By the softmax over ``items``, times their number."""
        raised = np.exp(items @ model.head.query.detach().numpy())
        return (raised / raised.sum() * len(items))[:, None]

    @pytest.mark.parametrize("head", ["both", "pooled"])
    def test_scores(self, name, head, request):
        folder = request.getfixturevalue(name)
        model = self.learnt(folder, item_head=head)
        tokens = table(model.collaborative)
        users, items = tokens[:4], tokens[4:]
        alpha, beta = model.head.log_gains.detach().exp().numpy()
        shown = items[[3, 4]]
        read = beta * (self.attention(model, shown) * shown).sum(axis=0) / np.sqrt(2) + 3 / (3 + 5) * users[2]
        if head == "both":
            state = ByHand(folder, model).answer(
                "<user_2> has interacted with <item_3> <item_4> the user will interact with:", tokens
            )
            read = read + alpha * state / np.linalg.norm(state)
        offset = model.prior.scores([np.array([3, 4])])[0].numpy()
        expected = items @ read + model.head.bias.detach().numpy() + offset
        np.testing.assert_allclose(scores(model, 2)[0, 1:], expected[1:], rtol=1e-3, atol=1e-4)
        assert np.abs(offset).max() > 1e-3

    @pytest.mark.parametrize("room", [64, 15])
    def test_the_latest_items_count_most_where_asked(self, name, room, request):
        folder = request.getfixturevalue(name)
        config = {"item_head": "pooled", "recency": 0.5, "eval_args": {"order": "TO"}, "content_view": False}
        model = self.learnt(folder, **config, max_length=room)
        tokens = table(model.collaborative)
        users, items = tokens[:4], tokens[4:]
        history = [1, 2, 3][-model.history_room :]
        weights = 0.5 ** np.arange(len(history))[::-1]
        shares = weights[:, None] * self.attention(model, items[history])
        pooled = (shares * items[history]).sum(axis=0) / np.sqrt((weights**2).sum())
        grown = (len(history) + 1) / (len(history) + 1 + 5)
        read = model.head.log_gains[1].exp().item() * pooled + weights.mean() * grown * users[1]
        offset = model.prior.scores([np.array([1, 2, 3])])[0].numpy()
        expected = items @ read + model.head.bias.detach().numpy() + offset
        model.eval()
        np.testing.assert_allclose(scores(model, 1)[0, 1:], expected[1:], rtol=1e-3, atol=1e-4)

    def test_how_much_they_count_is_told_by_the_prior(self, name, request):
        folder = request.getfixturevalue(name)
        told, asked = self.learnt(folder, recency="auto"), self.learnt(folder, recency=0.5)
        assert told.recency in RECENCIES
        strength, recency, _ = told.prior.in_scoring
        by_any = {"text share": told.inferred["text share"], "strength": told.prior.strength}
        assert told.inferred == by_any | {"strength in scoring": strength, "recency": recency}
        assert set(asked.inferred) == {"text share", "strength"}  # the configuration has the recency
        told.load_state_dict(asked.state_dict())
        told.prior = copy(asked.prior)  # of 0.5
        torch.testing.assert_close(scores(told.eval(), 1), scores(asked.eval(), 1))
        told.prior.in_scoring = Likeliest(asked.prior.in_scoring.strength, 1.0)
        assert not torch.allclose(scores(told, 1)[0, 1:], scores(asked, 1)[0, 1:])
        without = self.learnt(folder, recency="auto", training_prior=0.0, scoring_prior=0.0)
        assert (without.recency, without.inferred) == (1, {})

    def test_a_pooled_head_asks_the_language_model_nothing(self, name, request, monkeypatch):
        model = self.learnt(request.getfixturevalue(name), item_head="pooled")
        monkeypatch.setattr(model.backbone, "forward", lambda *_: pytest.fail("the backbone was asked"))
        assert scores(model, 2)[0, 1:].isfinite().all()

    def test_ranking_without_a_prior_knows_the_biases(self, name, request):
        model = self.learnt(request.getfixturevalue(name), training_prior=0.0, scoring_prior=0.0)
        _, best = model.recommend([2], k=5, excluded=[NOTHING])
        torch.testing.assert_close(best[0], scores(model, 2)[0].topk(5).values, rtol=1e-4, atol=1e-5)
        assert model.prior is None

    def test_recommendations_are_the_best_scores(self, name, request):
        model = build(request.getfixturevalue(name), **PAST_THE_STATE)
        items, best = model.recommend([2, 3], k=2)
        expected = scores(model, 2, 3)
        expected[0, [3, 4]] = expected[1, 5] = -torch.inf
        torch.testing.assert_close(best, expected.topk(2).values)
        assert items[0, 0] == expected[0].argmax()

    def test_loss(self, name, request):
        folder = request.getfixturevalue(name)
        config = toy.options(folder, **PAST_THE_STATE, lambda_c=0)
        model = apart(toy.build(config))
        current = passes(model, config)["finetuning"]["recommendation"]
        (batch,) = current.batches(toy.First())
        logits = model.item_logits(model.question_states(batch, model.collaborative.rows()))
        shown = [[3], [4], []]  # as in QUESTIONS, in whatever order the batch has them
        users = model._users(batch).tolist()
        total = 0.0
        for row, user in enumerate(users):
            items = torch.tensor(shown[user - 1], dtype=torch.long)
            offset = model.prior.offsets(torch.tensor([user]), torch.zeros_like(items), items)[0]
            targets = batch.targets[batch.reads == row] - model.vocabulary.item(0)
            total -= torch.log_softmax(logits[row] + offset, dim=0)[targets].sum().item()
        assert current.loss(batch).item() == pytest.approx(total / 3, rel=1e-4)
        assert {*model.head.parameters(), model.collaborative.shared.rows} <= set(current.parameters)

    def test_user_tokens_learn_by_the_head_and_not_through_the_language_model(self, name, request):
        found = {}
        for head in ("both", "pooled"):
            config = toy.options(request.getfixturevalue(name), **PAST_THE_STATE | {"item_head": head})
            torch.manual_seed(0)
            model = toy.build(config)
            (batch,) = passes(model, config)["finetuning"]["recommendation"].batches(toy.First())
            read = model.question_states(batch, model.collaborative.rows())
            users, items = model.collaborative.users, model.collaborative.items
            weights = torch.arange(float(read.shape[1]))  # the sum of a normalised state never changes
            found[head] = torch.autograd.grad((read * weights).sum(), [users, items])
        torch.testing.assert_close(found["both"][0], found["pooled"][0])
        assert not torch.equal(found["both"][1], found["pooled"][1])

    def test_a_step_sums_the_shared_rows_once(self, name, request, monkeypatch):
        config = toy.options(request.getfixturevalue(name), **PAST_THE_STATE)
        model = toy.build(config)
        (batch,) = passes(model, config)["finetuning"]["recommendation"].batches(toy.First())
        sums, count = SharedRows.forward, []
        monkeypatch.setattr(SharedRows, "forward", lambda rows: (count.append(1), sums(rows))[1])
        model.recommendation_loss(batch).backward()
        assert len(count) == 1


def test_a_prior_of_more_items_than_a_table_may_have_is_refused(gpt2, monkeypatch):
    with pytest.raises(UserError, match=r"training_prior and scoring_prior .* sampled_above"):
        build(gpt2, training_prior=1.0, sampled_above=3)
    monkeypatch.setattr(prior, "MOST_ITEMS", 4)
    with pytest.raises(UserError, match=r"too large for 5 \(at most 4\): set both to 0$"):
        build(gpt2, scoring_prior=1.0)
