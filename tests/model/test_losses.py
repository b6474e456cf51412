"""The terms of the loss, against numpy and against sums written out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.model import losses
from recbole_cllm4rec.model.losses import mutual_regularisation, negative_log_likelihood, total_loss

K, CLASSES = 3, 5


def tensor(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)


HEAD = tensor(K, CLASSES, seed=1)


def likelihood(states: torch.Tensor, reads: list[int], targets: list[int], head: torch.Tensor = HEAD) -> torch.Tensor:
    indices = (torch.tensor(numbers, dtype=torch.long) for numbers in (reads, targets))
    return negative_log_likelihood(states, head.T, *indices)


def expected(states: torch.Tensor, reads: list[int], targets: list[int]) -> float:
    logits = states.detach().numpy().astype(float) @ HEAD.detach().numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -sum(math.log(p[read, target]) for read, target in zip(reads, targets, strict=True))


class TestLikelihood:
    def test_even_logits_by_hand(self):
        assert likelihood(torch.zeros(2, K), [0, 0, 1], [1, 4, 2]).item() == pytest.approx(3 * math.log(5))

    def test_a_target_for_each_state(self):
        states = tensor(3, K, seed=2)
        assert likelihood(states, [0, 1, 2], [4, 0, 0]).item() == pytest.approx(expected(states, [0, 1, 2], [4, 0, 0]))

    def test_many_targets_from_one_state(self):
        states = tensor(2, K, seed=2)
        reads, targets = [0, 0, 0, 1], [1, 2, 4, 3]
        assert likelihood(states, reads, targets).item() == pytest.approx(expected(states, reads, targets))

    def test_a_document_without_a_target_adds_nothing(self):
        states = tensor(3, K, seed=2)
        loss = likelihood(states, [0, 2], [1, 3])
        assert loss.item() == pytest.approx(expected(states[[0, 2]], [0, 1], [1, 3]))
        loss.backward()
        assert states.grad[1].tolist() == [0, 0, 0]

    def test_offsets_are_added_to_the_scores_of_their_states(self):
        offsets = tensor(3, CLASSES, seed=7).detach()
        states, plain = tensor(3, K, seed=2), tensor(3, K, seed=2)
        reads, targets = [0, 0, 2], [4, 0, 1]
        loss = negative_log_likelihood(states, HEAD.T, torch.tensor(reads), torch.tensor(targets), offsets=offsets)
        expected = -torch.log_softmax(plain @ HEAD + offsets, dim=1)[reads, targets].sum()
        torch.testing.assert_close(loss, expected)
        loss.backward()
        expected.backward()
        torch.testing.assert_close(states.grad, plain.grad)

    @pytest.mark.parametrize("cap", [0.5, 30.0])
    def test_scores_that_are_capped(self, cap):
        states, plain = tensor(3, K, seed=2), tensor(3, K, seed=2)
        heads = [HEAD.detach().clone().requires_grad_() for _ in range(2)]
        biases = [tensor(CLASSES, seed=8) for _ in range(2)]
        reads, targets = [0, 0, 2], [4, 0, 1]
        loss = negative_log_likelihood(
            states, heads[0].T, torch.tensor(reads), torch.tensor(targets), biases[0], cap=cap
        )
        scores = cap * torch.tanh((plain @ heads[1] + biases[1]) / cap)
        expected = -torch.log_softmax(scores, dim=1)[reads, targets].sum()
        torch.testing.assert_close(loss, expected)
        loss.backward()
        expected.backward()
        for mine, theirs in [(states, plain), heads, biases]:
            torch.testing.assert_close(mine.grad, theirs.grad)

    @given(
        targets=st.lists(st.lists(st.integers(0, CLASSES - 1), max_size=4), min_size=1, max_size=9),
        rows=st.integers(1, 9),
    )
    def test_chunks_change_neither_value_nor_gradient(self, targets, rows):
        reads = [read for read, of_one in enumerate(targets) for _ in of_one]
        flat = [target for of_one in targets for target in of_one]
        results = []
        for logits in (losses.LOGITS, rows * CLASSES):
            states, head = tensor(len(targets), K, seed=3), HEAD.detach().clone().requires_grad_()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(losses, "LOGITS", logits)
                loss = likelihood(states, reads, flat, head)
            loss.backward()
            results.append((loss.detach(), states.grad, head.grad))
        for whole, chunked in zip(*results, strict=True):
            torch.testing.assert_close(chunked, whole)

    def test_chunks_hold_no_more_logits_than_allowed(self, monkeypatch):
        rows = []

        def softmax(logits: torch.Tensor, **options) -> torch.Tensor:
            rows.append(len(logits))
            return logits.softmax(**options)

        monkeypatch.setattr(losses, "LOGITS", 2 * CLASSES + 1)
        monkeypatch.setattr(losses.torch, "softmax", softmax)
        likelihood(tensor(5, K, seed=2), list(range(5)), [0] * 5).backward()
        assert rows == [2, 2, 1]

    @given(
        targets=st.lists(st.lists(st.integers(0, CLASSES - 1), max_size=4), min_size=1, max_size=9),
        share=st.sampled_from([1.0, 0.25]),
        learnt=st.sets(st.sampled_from(["states", "weight", "bias"]), min_size=1),
    )
    def test_value_and_gradients_are_those_of_the_plain_formula(self, targets, share, learnt):
        reads = torch.tensor([read for read, of_one in enumerate(targets) for _ in of_one], dtype=torch.long)
        flat = torch.tensor([target for of_one in targets for target in of_one], dtype=torch.long)
        results = []
        for fast in (True, False):
            inputs = {"states": (len(targets), K), "weight": (CLASSES, K), "bias": (CLASSES,)}
            h, W, b = (
                tensor(*shape, seed=seed).detach().requires_grad_(name in learnt)
                for seed, (name, shape) in enumerate(inputs.items())
            )
            if fast:
                loss = negative_log_likelihood(h, W, reads, flat, b)
            else:
                loss = -(h @ W.T + b).log_softmax(dim=1)[reads, flat].sum()
            (share * loss).backward()
            results.append([loss.detach(), *(t.grad for t in (h, W, b))])
        for mine, plain in zip(*results, strict=True):
            assert (mine is None) == (plain is None)
            if plain is not None:
                torch.testing.assert_close(mine, plain, rtol=1e-3, atol=1e-5)

    def test_a_learnt_head_gets_its_gradient_in_float32(self):
        states, weight = tensor(3, K, seed=2).detach().bfloat16(), tensor(CLASSES, K, seed=1)
        reads, targets = torch.arange(3), torch.tensor([4, 0, 0])
        negative_log_likelihood(states, weight, reads, targets).backward()
        exact = tensor(CLASSES, K, seed=1)
        negative_log_likelihood(states.float(), exact, reads, targets).backward()
        assert weight.grad.dtype == torch.float32
        torch.testing.assert_close(weight.grad, exact.grad, rtol=0.02, atol=0.02)

    def test_half_precision_states_are_summed_in_float32(self):
        states = tensor(3, K, seed=2).detach().bfloat16()
        loss = likelihood(states, [0, 1, 2], [4, 0, 0], HEAD.detach().bfloat16())
        assert loss.dtype == torch.float32


class TestMutualRegularisation:
    OWN = ((1.0, 2.0), (0.0, 0.0), (3.0, -1.0))
    OTHER = ((0.0, 0.0), (5.0, 5.0), (1.0, 1.0))

    def test_by_hand(self):
        own, other = torch.tensor(self.OWN), torch.tensor(self.OTHER)
        assert mutual_regularisation(own, other).item() == 31.5  # ½ ((1 + 4) + (25 + 25) + (4 + 4))

    def test_gradients_flow_into_ones_own_view_alone(self):
        own, other = (torch.tensor(table, requires_grad=True) for table in (self.OWN, self.OTHER))
        mutual_regularisation(own, other).backward()
        assert own.grad.tolist() == [[1.0, 2.0], [-5.0, -5.0], [2.0, -2.0]]  # own − other
        assert other.grad is None


class TestTotal:
    TERMS = (torch.tensor(12.0), torch.tensor(3.0))  # likelihood, penalty

    def test_per_document_is_a_mean_over_documents(self):
        assert total_loss(*self.TERMS, 10.0, documents=4, targets=6, scope="per-document").item() == (12 + 10 * 3) / 4

    def test_per_token_is_a_mean_over_tokens_and_a_sum_of_squares(self):
        assert total_loss(*self.TERMS, 10.0, documents=4, targets=6, scope="per-token").item() == 12 / 6 + 10 * (2 * 3)
