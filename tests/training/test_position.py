"""The way back into the midst of an epoch."""

import json
from typing import Any

import numpy as np
import pytest
import toy
from tqdm import tqdm

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.training.position import Position
from recbole_cllm4rec.training.stages import Stage


@pytest.fixture
def stage(bert) -> Stage:
    """Two passes whose documents draw masks and orders, a document a batch."""
    config = toy.options(bert, train_batch_size=1)
    return toy.stages(config, toy.build(config))[1]


def walk(stage: Stage, rng: np.random.Generator, at: Position) -> Any:
    """Name and tokens of each batch, counted as it is done."""
    for current, batch in at.walk(stage, rng, tqdm(disable=True)):
        at.count(current, float(at.step), 1.0)
        yield current.name, batch.ids.tolist()


def test_from_any_batch_on_the_rest_of_the_epoch_and_the_next_one_are_the_same(stage):
    rng = np.random.default_rng(1)
    first = Position(1)
    batches = list(walk(stage, rng, first))
    second = list(walk(stage, rng, first.next_epoch(1, rng)))
    assert len(batches) == len(stage) == 10
    for done in range(len(batches) + 1):
        left = Position(1)
        rng = np.random.default_rng(1)
        for _, _ in zip(range(done), walk(stage, rng, left), strict=False):
            pass
        if not done:
            continue  # nothing is saved before the first batch
        at = Position(**json.loads(json.dumps(vars(left))))
        rng = np.random.default_rng(1)
        assert list(walk(stage, rng, at)) == batches[done:]
        assert at.losses == first.losses
        assert list(walk(stage, rng, at.next_epoch(1, rng))) == second


def test_an_epoch_begins_where_the_one_before_left_the_generator(stage):
    rng = np.random.default_rng(1)
    first = Position(1)
    list(walk(stage, rng, first))
    at = Position(**json.loads(json.dumps(vars(first.next_epoch(1, rng)))))
    assert list(walk(stage, np.random.default_rng(1), at)) == list(walk(stage, rng, first.next_epoch(1, rng)))


def test_documents_that_draw_otherwise_than_before_are_the_users_error(stage, gpt2):
    at = Position(1)
    next(steps := walk(stage, np.random.default_rng(1), at))
    next(steps)
    config = toy.options(gpt2, train_batch_size=1, shuffle_items=False)
    other = toy.stages(config, toy.build(config))[1]
    with pytest.raises(UserError, match=r"^stage 'pretraining', epoch 1, batch 3 is not read as it was before: .*anew"):
        next(walk(other, np.random.default_rng(1), at))


def test_in_words():
    assert Position(2, 3, 4).words("finetuning") == "stage 'finetuning', epoch 4, batch 5"
