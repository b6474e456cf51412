"""A sampled softmax: what is drawn, what it weighs, and that it is the full one in the mean and in the limit."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.model.losses import negative_log_likelihood
from recbole_cllm4rec.model.sampling import sample_items

ITEMS = 40


def tensors(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


READS, TARGETS = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([3, 7, 39, 7, 1, 3])


def full(states: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """The likelihood over all items but the padding."""
    return negative_log_likelihood(states, table[1:], READS, TARGETS - 1)


def sampled(states: torch.Tensor, table: torch.Tensor, n_drawn: int) -> torch.Tensor:
    sample = sample_items(TARGETS, ITEMS, n_drawn)
    return negative_log_likelihood(states, table[sample.items], READS, sample.positions, sample.corrections)


class TestSample:
    def test_by_hand(self):
        torch.manual_seed(0)
        sample = sample_items(torch.tensor([4, 2, 4]), n_items=9, n_drawn=3)
        assert sample.items[:2].tolist() == [2, 4]
        assert sample.positions.tolist() == [1, 0, 1]
        assert set(sample.items[2:].tolist()) < {1, 3, 5, 6, 7, 8}
        assert sample.corrections.tolist() == pytest.approx([0, 0] + [math.log(6 / 3)] * 3)

    @given(
        targets=st.lists(st.integers(1, ITEMS - 1), min_size=1, max_size=60),
        n_drawn=st.integers(1, 60),
        seed=st.integers(0, 99),
    )
    def test_targets_once_each_and_others_once_each(self, targets, n_drawn, seed):
        torch.manual_seed(seed)
        sample = sample_items(torch.tensor(targets), ITEMS, n_drawn)
        items = sample.items.tolist()
        assert len(set(items)) == len(items)
        assert set(items) <= set(range(1, ITEMS))
        assert [items[p] for p in sample.positions] == targets
        assert len(items) == min(len(set(targets)) + n_drawn, ITEMS - 1)

    def test_processes_that_share_a_batch_draw_one_sample(self):
        whole, first, last = (
            sample_items(targets, ITEMS, 5, torch.Generator().manual_seed(1), elsewhere)
            for targets, elsewhere in ((TARGETS, None), (TARGETS[:2], TARGETS[2:]), (TARGETS[2:], TARGETS[:2]))
        )
        for share in (first, last):
            assert torch.equal(share.items, whole.items)
            assert torch.equal(share.corrections, whole.corrections)
        assert [*first.positions, *last.positions] == [*whole.positions]

    def test_every_other_item_is_as_likely(self):
        torch.manual_seed(0)
        drawn = Counter(i for _ in range(4000) for i in sample_items(torch.tensor([3, 5]), 9, 2).items[2:].tolist())
        assert set(drawn) == {1, 2, 4, 6, 7, 8}
        # Each is in a third of the samples: 1333 of 4000, with a standard deviation of 30.
        assert all(abs(count - 4000 / 3) < 4 * 30 for count in drawn.values())

    def test_torchs_seed_decides(self):
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(sample_items(torch.tensor([3]), 1000, 50).items.tolist())
        assert draws[0] == draws[1] != draws[2]


class TestLikelihood:
    @pytest.mark.parametrize("n_drawn", [ITEMS - 1 - 4, 1000])
    def test_with_all_items_drawn_it_is_the_full_one(self, n_drawn):
        results = []
        for loss in (full, lambda *tables: sampled(*tables, n_drawn)):
            states, table = tensors(1, 3, 4), tensors(2, ITEMS, 4)
            value = loss(states, table)
            value.backward()
            results.append((value.detach(), states.grad, table.grad))
        for expected, found in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)  # corrections are in float32

    def test_the_normaliser_is_right_in_the_mean(self):
        torch.manual_seed(0)
        states, table = tensors(1, 3, 4).detach(), tensors(2, ITEMS, 4).detach()
        expected = (states @ table[1:].T).exp().sum(dim=1)
        sums = []
        for _ in range(4000):
            sample = sample_items(TARGETS, ITEMS, 5)
            sums.append((states @ table[sample.items].T + sample.corrections).exp().sum(dim=1))
        found = torch.stack(sums)
        error = found.std(dim=0) / math.sqrt(len(found))
        assert ((found.mean(dim=0) - expected).abs() < 4 * error).all()
        assert (error < 0.05 * expected).all()

    def test_loss_and_gradient_approach_the_full_ones(self):
        torch.manual_seed(0)
        states, table = tensors(1, 3, 4), tensors(2, ITEMS, 4)
        value = full(states, table)
        exact = torch.cat([g.view(-1) for g in torch.autograd.grad(value, (states, table))])
        gaps, errors = [], []
        for n_drawn in (4, 12, 30):
            losses, gradients = [], []
            for _ in range(600):
                loss = sampled(states, table, n_drawn)
                gradients.append(torch.cat([g.view(-1) for g in torch.autograd.grad(loss, (states, table))]))
                losses.append(loss.item())
            gaps.append(value.item() - sum(losses) / len(losses))  # log is concave: the mean is too low
            errors.append((torch.stack(gradients).mean(dim=0) - exact).norm() / exact.norm())
        assert gaps[0] > gaps[1] > gaps[2] > -0.01
        assert errors[0] > errors[1] > errors[2]
        assert gaps[2] < 0.01 * value.item()
        assert errors[2] < 0.02
