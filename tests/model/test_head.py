"""The pooled head by hand: two questions, one of which shows nothing."""

import math

import pytest
import torch

from recbole_cllm4rec.model.head import PooledHead

USERS = torch.tensor([[0.5, 0.0], [0.0, 0.25]])
ITEMS = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # both shown in the first question
ROWS = torch.tensor([0, 0])


@pytest.fixture
def head() -> PooledHead:
    return made()


def made(attends: bool = False, user_shrink: float = 0.0) -> PooledHead:
    head = PooledHead(4, 2, attends, user_shrink)
    head.log_gains.data = torch.tensor([2.0, 3.0]).log()
    return head


def test_a_unit_state_the_items_over_the_root_of_their_number_and_the_user(head):
    states = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    expected = [[2 * 0.6 + 3 * 1 / math.sqrt(2) + 0.5, 2 * 0.8 + 3 * 2 / math.sqrt(2)], [0.0, 2.0 + 0.25]]
    torch.testing.assert_close(head(states, USERS, ROWS, ITEMS), torch.tensor(expected))


def test_without_a_state(head):
    expected = [[3 * 1 / math.sqrt(2) + 0.5, 3 * 2 / math.sqrt(2)], [0.0, 0.25]]
    torch.testing.assert_close(head(None, USERS, ROWS, ITEMS), torch.tensor(expected))


def test_items_may_have_weights_and_the_user_and_the_state_count_by_their_mean(head):
    weights, length = torch.tensor([0.75, 1.0]), 1.25  # √(0.75² + 1²)
    expected = torch.tensor([[3 * 0.75 / length + 0.875 * 0.5, 3 * 2 / length], [0.0, 0.25]])
    torch.testing.assert_close(head(None, USERS, ROWS, ITEMS, weights), expected)
    states = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    read = head(states, USERS, ROWS, ITEMS, weights) - expected
    torch.testing.assert_close(read, torch.tensor([[0.875 * 2 * 0.6, 0.875 * 2 * 0.8], [0.0, 2.0]]))


def test_weights_of_one_change_nothing(head):
    states = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    for of in (None, states):
        torch.testing.assert_close(head(of, USERS, ROWS, ITEMS, torch.ones(2)), head(of, USERS, ROWS, ITEMS))


def test_attention_starts_evenly(head):
    torch.testing.assert_close(made(attends=True)(None, USERS, ROWS, ITEMS), head(None, USERS, ROWS, ITEMS))


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_attention_weighs_the_items_of_a_question_among_themselves(far):
    head = made(attends=True)
    head.query.data = torch.tensor([math.log(3) + far, far / 2])  # 3 to 1, however far
    read = head(None, USERS, ROWS, ITEMS)
    expected = [[3 * 1.5 / math.sqrt(2) + 0.5, 3 * 0.5 * 2 / math.sqrt(2)], [0.0, 0.25]]
    torch.testing.assert_close(read, torch.tensor(expected), rtol=1e-4, atol=0)


def test_attention_and_weights_multiply():
    head, weights = made(attends=True), torch.tensor([0.75, 1.0])
    head.query.data = torch.tensor([math.log(3), 0.0])
    read = head(None, USERS, ROWS, ITEMS, weights)
    torch.testing.assert_close(read[0], torch.tensor([3 * 0.75 * 1.5 / 1.25 + 0.875 * 0.5, 3 * 0.5 * 2 / 1.25]))


def test_a_user_of_few_items_counts_less(head):
    few, full = made(user_shrink=3.0)(None, USERS, ROWS, ITEMS), head(None, USERS, ROWS, ITEMS)
    torch.testing.assert_close(full - few, USERS * torch.tensor([[1 - 3 / 6], [1 - 1 / 4]]))


def test_gains_states_users_items_and_the_attention_are_learnt():
    head = made(attends=True, user_shrink=3.0)
    states, users, items = (torch.rand(n, 2, requires_grad=True) for n in (2, 2, 2))
    head(states, users, torch.tensor([1, 1]), items).square().sum().backward()
    learnt = [states, users, items, head.log_gains, head.query]
    assert all((tensor.grad != 0).any() for tensor in learnt)


def test_states_may_have_any_precision(head):
    assert head(torch.ones(2, 2).bfloat16(), USERS, ROWS, ITEMS).dtype == torch.float32


def test_biases_start_at_nothing(head):
    assert head.bias.tolist() == [0, 0, 0, 0]
