"""The lazy Adam of token tables beside the usual one: what a step moves, and by how much."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from torch import nn
from torch.nn.utils import clip_grad_norm_

from recbole_cllm4rec.corpus.text import Histories
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.training.optimisers import Group, clip_gradients, optimisers
from recbole_cllm4rec.training.stages import build_stages

PASSES = [("content", "content"), ("pretraining", "collaborative"), ("finetuning", "recommendation")]


def passes(config, model):
    return {(s.name, c.name): c for s in toy.stages(config, model) for c in s.passes}


def batch_of(current):
    (batch,) = current.batches(np.random.default_rng(0))
    return batch


class TestGradients:
    @pytest.mark.parametrize("which", PASSES)
    @pytest.mark.parametrize("sampled", [False, True])
    def test_they_are_the_dense_ones(self, checkpoint, which, sampled):
        gradients = []
        for learner in ("adam", "sparse_adam"):
            config = toy.options(checkpoint, learner=learner, sampled_above=0 if sampled else 99, n_sampled=2)
            model = toy.build(config)
            current = passes(config, model)[which]
            torch.manual_seed(5)
            current.loss(batch_of(current)).backward()
            gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        dense, lazy = gradients
        assert dense.keys() == lazy.keys()
        for name, gradient in lazy.items():
            torch.testing.assert_close(gradient.to_dense() if gradient.is_sparse else gradient, dense[name])

    @pytest.mark.parametrize(
        ("which", "sampled_above", "sparse"),
        [
            (("content", "content"), 99, {"content.users", "content.items"}),
            (("pretraining", "content"), 99, {"content.users", "content.items"}),
            (("pretraining", "collaborative"), 99, {"collaborative.users"}),
            (("finetuning", "recommendation"), 99, {"collaborative.users"}),
            (("pretraining", "collaborative"), 4, {"collaborative.users", "collaborative.items"}),
            (("finetuning", "recommendation"), 4, {"collaborative.users", "collaborative.items"}),
            (("finetuning", "recommendation"), 5, {"collaborative.users"}),  # five items are not above five
        ],
    )
    def test_which_are_sparse(self, checkpoint, which, sampled_above, sparse):
        config = toy.options(checkpoint, learner="sparse_adam", sampled_above=sampled_above)
        model = toy.build(config)
        current = passes(config, model)[which]
        current.loss(batch_of(current)).backward()
        found = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.is_sparse}
        assert found == sparse
        lazy = [o for o in current.optimisers if isinstance(o, torch.optim.SparseAdam)]
        assert {id(p) for o in lazy for g in o.param_groups for p in g["params"]} == {
            id(p) for name, p in model.named_parameters() if name in sparse
        }

    def test_a_step_touches_no_more_rows_with_more_users(self, gpt2):
        """What a batch of text reads is in its sparse gradient, however many users there are."""
        rows = []
        for n_users in (4, 4000):
            corpus = replace(
                toy.CORPUS,
                n_users=n_users,
                histories=Histories(toy.USERS, toy.ITEMS, n_users),
                user_texts=[*toy.CORPUS.user_texts, *[""] * (n_users - 4)],
            )
            config = toy.options(gpt2, learner="sparse_adam")
            model = toy.build(config, corpus)
            current = passes(config, model)["pretraining", "content"]
            current.loss(batch_of(current)).backward()
            rows.append([p.grad.coalesce().values().shape for p in model.content.parameters()])
        assert rows[0] == rows[1]


class TestStep:
    @pytest.mark.parametrize("which", PASSES)
    def test_from_the_start_touched_rows_move_as_with_dense_adam_and_others_stay(self, gpt2, which):
        after, before, touched = [], [], []
        for learner in ("adam", "sparse_adam"):
            config = toy.options(gpt2, learner=learner)
            model = toy.build(config)
            before.append({name: p.detach().clone() for name, p in model.named_parameters()})
            current = passes(config, model)[which]
            current.loss(batch_of(current)).backward()
            touched = {n: p.grad.to_dense().abs().sum(1) > 0 for n, p in model.named_parameters() if p.grad is not None}
            current.step()
            after.append(dict(model.named_parameters()))
        for name, rows in touched.items():
            assert torch.equal(before[0][name], before[1][name])
            torch.testing.assert_close(after[1][name][rows], after[0][name][rows])
            assert (after[1][name][rows] != before[1][name][rows]).any()
            assert torch.equal(after[1][name][~rows], before[1][name][~rows])

    def test_a_row_that_the_second_batch_leaves_out_stays(self):
        table = nn.Parameter(torch.zeros(3, 2))
        lazy = torch.optim.SparseAdam([table], lr=1.0)
        for rows in ([0, 1], [1]):
            lazy.zero_grad()
            nn.functional.embedding(torch.tensor(rows), table, sparse=True).sum().backward()
            lazy.step()
        assert table[0].tolist() == pytest.approx([-1, -1])
        assert table[1].tolist() == pytest.approx([-2, -2])
        assert table[2].tolist() == [0, 0]

    def test_a_finished_pass_holds_nothing(self, gpt2):
        config = toy.options(gpt2)
        model = toy.build(config)
        current = passes(config, model)["pretraining", "collaborative"]
        current.loss(batch_of(current)).backward()
        current.step()
        assert all(optimiser.state for optimiser in current.optimisers)
        current.finish()
        assert not any(optimiser.state for optimiser in current.optimisers)
        assert all(p.grad is None for p in current.parameters)


class TestLearners:
    @pytest.mark.parametrize("learner", ["adam", "adamw", "sgd", "adagrad", "rmsprop"])
    def test_all_others_have_dense_gradients_and_one_optimiser(self, gpt2, learner):
        asked = []

        def make(params, learning_rate, learner):
            asked.append(learner)
            return torch.optim.SGD(params, lr=learning_rate)

        config = toy.options(gpt2, learner=learner)
        model = toy.build(config)
        assert not model.collaborative.sparse
        stages = build_stages(config, model, make)
        assert asked == [learner] * 5
        assert all(len(current.optimisers) == 1 for stage in stages for current in stage.passes)

    @pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
    def test_adam_in_one_pass_is_adam(self, kind):
        tables = [nn.Parameter(torch.ones(3, 2)) for _ in range(2)]
        (fused,) = optimisers(
            lambda params, learning_rate, learner: kind(params, learning_rate), "adam", [Group([tables[0]], 0.1)]
        )
        plain = kind([tables[1]], 0.1)
        for scale in (1.0, -3.0, 0.5):
            for table, optimiser in zip(tables, (fused, plain), strict=True):
                table.grad = scale * torch.arange(6.0).view(3, 2)
                optimiser.step()
        assert fused.param_groups[0]["fused"]
        torch.testing.assert_close(*tables)

    def test_a_weight_decay_that_would_be_left_out_is_the_users_error(self, gpt2):
        config = toy.options(gpt2, learner="sparse_adam", weight_decay=0.1)
        with pytest.raises(UserError, match=r"^weight_decay is 0\.1, but sparse_adam decays nothing: .*learner=adam$"):
            toy.stages(config, toy.build(config))


class TestClipping:
    @staticmethod
    def gradients(sparse: bool) -> list[nn.Parameter]:
        table, weight, unused = (nn.Parameter(torch.ones(n, 2)) for n in (4, 3, 1))
        rows = nn.functional.embedding(torch.tensor([1, 3, 1]), table, sparse=sparse)  # row 1 has twice the gradient
        (rows.sum() + (weight * 2).sum()).backward()
        return [table, weight, unused]

    @pytest.mark.parametrize("limits", [{"max_norm": 0.5}, {"max_norm": 2, "norm_type": 1}, {"max_norm": 1000}])
    def test_as_torch_clips_dense_ones(self, limits):
        dense, lazy = self.gradients(sparse=False), self.gradients(sparse=True)
        clip_grad_norm_(dense, **limits)
        clip_gradients(lazy, **limits)
        assert lazy[0].grad.is_sparse
        assert lazy[2].grad is None
        for a, b in zip(dense[:2], lazy, strict=False):
            torch.testing.assert_close(b.grad.to_dense(), a.grad)
