"""The estimate before training: what it says, and that it leaves no trace."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from recbole.data.interaction import Interaction

from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.corpus.batching import Batch
from recbole_cllm4rec.corpus.documents import Document, Texts
from recbole_cllm4rec.training import estimate as module
from recbole_cllm4rec.training.estimate import Estimate, estimate
from recbole_cllm4rec.training.stages import Pass, Stage

VALID = SimpleNamespace(_dataset=SimpleNamespace(inter_feat=Interaction({"user": torch.tensor([1, 2, 3, 2])})))
"""The users of the toy corpus, one of them with two interactions."""


class Clock:
    """Seconds that pass when they are told to."""

    seconds = 0.0

    def go(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.mark.parametrize("changes", [{}, {"train_backbone": True}, {"learner": "sparse_adam"}])
def test_no_trace_is_left(checkpoint, changes):
    config = toy.options(checkpoint, **changes)
    model = toy.build(config)
    stages = toy.stages(config, model)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimisers = [optimiser for stage in stages for optimiser in stage.optimisers]
    states = [deepcopy(optimiser.state_dict()) for optimiser in optimisers]
    before = torch.get_rng_state()
    found = estimate(stages, model, VALID, eval_step=1, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, weights[name])
        assert parameter.grad is None or not parameter.grad.any()
    assert [optimiser.state_dict() for optimiser in optimisers] == states  # empty, and the rates
    assert list(found.minutes) == ["content", "pretraining", "finetuning", "validation"]
    assert all(minutes > 0 for minutes in found.minutes.values())
    assert 0 < found.memory < 64


def test_without_validation_data_none_is_timed(gpt2):
    config = toy.options(gpt2)
    model = toy.build(config)
    assert "validation" not in estimate(toy.stages(config, model), model, None, eval_step=1, seed=1).minutes


def test_the_message_is_one_line():
    message = str(Estimate({"content": 1.26, "finetuning": 10.0}, 2.34))
    assert message == (
        "estimate: at most 11.3 minutes (content 1.3, finetuning 10.0) unless stopped early, 2.3 GiB of memory"
    )


def test_time_goes_by_steps_tokens_epochs_and_validations(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", lambda: clock.seconds)
    monkeypatch.setattr(module, "USERS", 2)
    model = SimpleNamespace(
        device=torch.device("cpu"),
        eval=lambda: None,
        full_sort_predict=lambda users: clock.go(6),
        corpus=toy.CORPUS,
        history_prompt=SimpleNamespace(longest=2),
        USER_ID="user",
        sampling=torch.Generator(),
    )
    weight = torch.nn.Parameter(torch.ones(1))

    def loss(batch: Batch) -> torch.Tensor:
        clock.go(3 + 2 * batch.ids.numel())  # what every step costs, and every token
        return weight.sum()

    texts = Texts([Document(np.arange(n), np.array([], dtype=int)) for n in [4] * 5 + [5] * 5 + [8] * 5])
    current = Pass(
        "numbers",
        texts,
        lay_out=lambda document, rng: Layout(document.prompt, np.array([0]), document.main),
        loss=loss,
        optimisers=[torch.optim.SGD([weight], lr=1.0)],
        n_words=9,
        batch_size=5,
        max_tokens=99,
    )
    stage = Stage("counting", 10, [current, current], "step", validates=True)
    found = estimate([stage], model, VALID, eval_step=4, seed=1)
    epoch = 3 * 3 + 2 * 5 * (4 + 5 + 8)  # three steps a pass
    # 6 s for users 1 and 3, who have 3 + 2 and 1 + 2 of 12 tokens; epochs 4, 8 and 10 validate.
    assert found.minutes == pytest.approx({"counting": 10 * 2 * epoch / 60, "validation": 3 * 6 * 12 / 8 / 60})
    assert weight.grad is None
