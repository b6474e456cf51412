"""The pooled head by hand: two questions, one of which shows nothing."""

import math

import pytest
import torch

from recbole_cllm4rec.model.head import PooledHead


@pytest.fixture
def head() -> PooledHead:
    made = PooledHead()
    made.log_gains.data = torch.tensor([2.0, 3.0]).log()
    return made


def test_a_unit_state_and_the_items_over_the_root_of_their_number(head):
    states = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    items = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # both shown in the first question
    read = head(states, torch.tensor([0, 0]), items)
    expected = [[2 * 0.6 + 3 * 1 / math.sqrt(2), 2 * 0.8 + 3 * 2 / math.sqrt(2)], [0.0, 2.0]]
    torch.testing.assert_close(read, torch.tensor(expected))


def test_gains_states_and_items_are_learnt(head):
    states, items = torch.rand(2, 2, requires_grad=True), torch.rand(1, 2, requires_grad=True)
    head(states, torch.tensor([1]), items).square().sum().backward()
    assert all((tensor.grad != 0).any() for tensor in (states, items, head.log_gains))


def test_it_answers_in_the_precision_of_the_states(head):
    assert head(torch.ones(1, 2).bfloat16(), torch.tensor([0]), torch.ones(1, 2)).dtype == torch.bfloat16
