"""Stages: which there are, in which order their steps come, and what an epoch visits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.corpus import batching
from recbole_cllm4rec.corpus.documents import Document, Texts
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.training.stages import Pass, Stage

Plan = list[tuple[str, int, list[str], bool]]
CONTENT = ("content", 10, ["content"], False)
PRETRAINING = ("pretraining", 100, ["collaborative", "content"], False)
FINETUNING = ("finetuning", 150, ["recommendation", "content"], True)
PAPER = [CONTENT, PRETRAINING, FINETUNING]
RECIPE = {key: value for key, value in toy.PROPERTIES.items() if key in toy.PROPERTIES["variants"]["paper"]}
VARIANTS: dict[str, Plan] = {
    "recommended": [("finetuning", 12, ["recommendation", "content"], True)],
    **{name: [("finetuning", 12, ["recommendation"], True)] for name in ("pooled", "no-text")},
    **{f"pooled-no-{part}": [("finetuning", 12, ["recommendation"], True)] for part in ("sentences", "words", "prior")},
    "paper": PAPER,
    "released-code": PAPER,
    "LLM-Scratch": PAPER,
    "LLM-CF": [("pretraining", 100, ["collaborative"], False), ("finetuning", 150, ["recommendation"], True)],
    "LLM-FtAll": PAPER,
    "LLM-FixOrd": PAPER,
    **{f"lambda-{value}": PAPER for value in ("0.01", "0.1", "10", "100")},
    "LLM-PreRec": [CONTENT, ("pretraining", 100, ["collaborative", "content"], True)],
}


@pytest.mark.parametrize("changes", [{}, {"loss_scope": "per-token"}, {"train_backbone": True}])
def test_gradients_in_parts_are_those_of_the_whole_batch(checkpoint, changes, monkeypatch):
    config = toy.options(checkpoint, lambda_c=3.0, **changes)
    model = toy.build(config).eval()  # without dropout
    for table in model.content.parameters():
        table.data.mul_(2)  # the views differ, so that there is something to regularise
    for current in [current for stage in toy.stages(config, model) for current in stage.passes]:
        (batch,) = current.batches(np.random.default_rng(0))
        results = []
        for tokens in (10**6, 1):
            monkeypatch.setattr(batching, "CPU_TOKENS", tokens)
            model.zero_grad()
            loss = current.backward(batch, torch.device("cpu"))
            found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            results.append((loss, {name: g.to_dense() if g.is_sparse else g for name, g in found.items()}))
        (whole, gradients), (parts, summed) = results
        assert parts == pytest.approx(whole, rel=1e-5)
        assert gradients.keys() == summed.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(summed[name], gradient, rtol=1e-3, atol=1e-6)


def built(folder, corpus=toy.CORPUS, **changes) -> list[Stage]:
    config = toy.options(folder, **changes)
    return toy.stages(config, toy.build(config, corpus))


def plan(stages: Sequence[Stage]) -> Plan:
    """Name, epochs, passes and whether it validates, of each stage."""
    return [(s.name, s.epochs, [current.name for current in s.passes], s.validates) for s in stages]


def numbered(name: str, documents: int, batch_size: int, share: float = 1.0) -> Pass:
    """A pass over documents that are nothing but their own number."""
    return Pass(
        name,
        Texts([Document(np.array([number]), np.array([], dtype=int)) for number in range(documents)]),
        lay_out=lambda document, rng: Layout(document.prompt, np.array([0]), document.main),
        loss=None,
        optimisers=[],
        n_words=0,
        batch_size=batch_size,
        max_tokens=99,
        share=share,
    )


def steps(stage: Stage, seed: int = 0) -> list[tuple[str, list[int]]]:
    """The name of the pass and the numbers of its documents, step by step."""
    return [(current.name, batch.ids[:, 0].tolist()) for current, batch in stage.steps(np.random.default_rng(seed))]


class TestPlan:
    def test_the_papers(self, gpt2):
        assert plan(built(gpt2)) == PAPER

    @pytest.mark.parametrize(("variant", "expected"), VARIANTS.items())
    def test_of_every_variant(self, gpt2, variant, expected):
        stages = built(gpt2, **RECIPE | toy.PROPERTIES["variants"][variant])
        assert plan(stages) == expected
        assert {stage.alternation for stage in stages[-1:]} == {"epoch" if variant == "released-code" else "step"}

    def test_no_variant_is_forgotten(self):
        assert set(VARIANTS) == set(toy.PROPERTIES["variants"])

    def test_stages_without_epochs_are_left_out(self, gpt2):
        assert plan(built(gpt2, content_epochs=0, pretrain_epochs=0)) == [FINETUNING]

    def test_a_share_of_the_schedule_is_rounded_up(self, gpt2):
        assert [s.epochs for s in built(gpt2, schedule_share=0.07)] == [1, 7, 11]
        assert [s.epochs for s in built(gpt2, schedule_share=0.01, epochs=0)] == [1, 1]

    def test_content_without_text_is_the_users_error(self, gpt2):
        silent = replace(toy.CORPUS, user_texts=[""] * 4, item_texts=[""] * 6, reviews=[])
        with pytest.raises(UserError, match=r"^CLLM4Rec reads text, but the dataset has none: .*text_fields.*no-text$"):
            built(gpt2, silent)
        assert [names for _, _, names, _ in plan(built(gpt2, silent, content_view=False))] == [
            ["collaborative"],
            ["recommendation"],
        ]

    def test_a_plan_that_trains_nothing_is_the_users_error(self, gpt2):
        with pytest.raises(UserError, match=r"^nothing would train .*: set epochs or pretrain_epochs above 0$"):
            built(gpt2, epochs=0, pretrain_epochs=0)

    def test_learning_rates_sizes_and_shares(self, gpt2):
        changes = {"learning_rate": 0.5, "pretrain_learning_rate": 0.25, "train_batch_size": 7}
        stages = built(gpt2, content_share=0.6, max_batch_tokens=99, **changes)
        rates = [
            [{o.param_groups[0]["lr"] for o in current.optimisers} for current in stage.passes] for stage in stages
        ]
        assert rates == [[{0.25}], [{0.25}, {0.25}], [{0.5}, {0.5}]]
        assert {(c.batch_size, c.max_tokens) for stage in stages for c in stage.passes} == {(7, 99)}
        # Seven content documents and three users; the warm-up reads all of the text.
        assert [[len(current) for current in stage.passes] for stage in stages] == [[7], [3, 4], [3, 4]]

    def test_every_pass_has_optimisers_of_its_own(self, gpt2):
        stages = built(gpt2, learner="sparse_adam")
        optimisers = [o for stage in stages for current in stage.passes for o in current.optimisers]
        assert len(set(map(id, optimisers))) == 3 * 1 + 2 * 2  # of text, one; where items are scored, two

    @pytest.mark.parametrize(("name", "weights"), [("gpt2", 0), ("llama", 1), ("bert", 5)])
    def test_a_learnt_head_is_in_the_optimisers_of_words(self, name, weights, request):
        stages = built(request.getfixturevalue(name))
        words, items = 2 + weights, 2  # two tables
        sizes = [[len(c.parameters) for c in stage.passes] for stage in stages]
        assert sizes == [[words], [items, words], [items, words]]

    @pytest.mark.parametrize("changes", [{"train_backbone": True}, {"pretrained": False}])
    def test_a_backbone_to_train_is_in_every_optimiser(self, gpt2, changes):
        sizes = [
            [len(current.parameters) for stage in stages for current in stage.passes]
            for stages in (built(gpt2), built(gpt2, **changes))
        ]
        assert sizes == [[2] * 5, [2 + 28] * 5]  # the view's tables, and all weights of two layers

    def test_a_backbone_to_train_may_have_a_rate_of_its_own(self, gpt2):
        rates = {"pretrain_learning_rate": 0.3, "learning_rate": 0.2, "backbone_learning_rate": 0.1}
        stages = built(gpt2, train_backbone=True, **rates)
        found = {
            (stage.name, group["lr"], len(group["params"]))
            for stage in stages
            for optimiser in stage.optimisers
            for group in optimiser.param_groups
        }
        of_tokens = {("content", 0.3, 2), ("pretraining", 0.3, 2), ("finetuning", 0.2, 2)}
        assert found == of_tokens | {(stage.name, 0.1, 28) for stage in stages}


class TestOptionsReachTheDocuments:
    @staticmethod
    def drawn(stages: Sequence[Stage], name: str, visits: int = 60) -> set[tuple[int, ...]]:
        """What the visits to user 1 read."""
        (documents,) = (c.documents for stage in stages for c in stage.passes if c.name == name)
        rng = np.random.default_rng(0)
        return {tuple(np.concatenate(documents.draw(0, rng))) for _ in range(visits)}

    def test_shuffling(self, gpt2):
        shuffled, fixed = built(gpt2), built(gpt2, shuffle_items=False)
        assert [len(self.drawn(stages, "collaborative")) for stages in (shuffled, fixed)] == [6, 1]
        assert [len(self.drawn(stages, "recommendation")) for stages in (shuffled, fixed)] == [6, 3]

    def test_the_target_of_finetuning(self, gpt2):
        stages = built(gpt2, finetune_target="train", shuffle_items=False)
        (documents,) = (stage.passes[0].documents for stage in stages if stage.name == "finetuning")
        model = toy.build(toy.options(gpt2))
        assert documents.draw(0, toy.First()).main.tolist() == model.vocabulary.items(np.array([1, 2, 3])).tolist()

    def test_the_share_that_is_masked(self, gpt2):
        for share, masked in [(0.2, 1), (0.7, 2), (1.0, 3)]:
            documents = built(gpt2, mask_share=share)[-1].passes[0].documents
            assert len(documents.draw(0, toy.First()).main) == masked


class TestSteps:
    def test_step_by_step_the_pass_that_has_come_least_far_is_next(self):
        stage = Stage("s", 1, [numbered("a", 2, 1), numbered("b", 6, 1)], "step")
        # Halves of a against sixths of b; of two that are as far, the first.
        assert [name for name, _ in steps(stage)] == ["a", "b", "b", "b", "a", "b", "b", "b"]

    def test_epoch_by_epoch_one_pass_follows_the_other(self):
        stage = Stage("s", 1, [numbered("a", 2, 1), numbered("b", 3, 2)], "epoch")
        assert [name for name, _ in steps(stage)] == ["a", "a", "b", "b"]

    @given(
        sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3),
        batch=st.integers(1, 7),
        alternation=st.sampled_from(["step", "epoch"]),
        share=st.sampled_from([0.1, 0.5, 1.0]),
    )
    def test_an_epoch_visits_every_document_once_or_the_share_of_them(self, sizes, batch, alternation, share):
        passes = [numbered(str(k), size, batch, share) for k, size in enumerate(sizes)]
        stage = Stage("s", 1, passes, alternation)
        visits = {current.name: [] for current in passes}
        for name, numbers in steps(stage):
            visits[name] += numbers
        for current, size in zip(passes, sizes, strict=True):
            numbers = visits[current.name]
            assert len(set(numbers)) == len(numbers) == max(1, round(share * size))
            assert set(numbers) <= set(range(size))
        assert len(stage) == sum(map(len, visits.values()))

    @given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 7))
    def test_step_by_step_passes_are_never_more_than_a_batch_apart(self, a, b, batch):
        stage = Stage("s", 1, [numbered("a", a, batch), numbered("b", b, batch)], "step")
        left = {"a": a, "b": b}
        for name, numbers in steps(stage):
            left[name] -= len(numbers)
            assert abs(left["a"] * b - left["b"] * a) <= batch * max(a, b)
        assert left == {"a": 0, "b": 0}

    def test_a_share_is_chosen_anew_every_epoch(self):
        stage = Stage("s", 1, [numbered("a", 20, 20, share=0.5)], "step")
        rng = np.random.default_rng(0)
        epochs = [sorted(batch.ids[:, 0].tolist()) for _ in range(30) for _, batch in stage.steps(rng)]
        assert len({tuple(numbers) for numbers in epochs}) == 30
        assert set(np.concatenate(epochs)) == set(range(20))

    def test_rates_stay_or_fall_in_a_line(self):
        passes = [numbered("a", 2, 1)]
        assert [Stage("s", 4, passes, "step").rate(epoch) for epoch in range(5)] == [1, 1, 1, 1, 1]
        falling = Stage("s", 4, passes, "step", schedule="linear")
        assert [falling.rate(epoch) for epoch in range(5)] == [1, 0.75, 0.5, 0.25, 0]

    def test_one_seed_gives_one_order(self):
        stage = Stage("s", 1, [numbered("a", 20, 3), numbered("b", 9, 3)], "step")
        assert steps(stage, seed=1) == steps(stage, seed=1) != steps(stage, seed=2)

    def test_one_seed_gives_the_same_batches_of_a_model(self, bert):
        def epoch(seed: int) -> list[torch.Tensor]:
            rng = np.random.default_rng(seed)
            return [
                part
                for stage in built(bert, train_batch_size=2)
                for _, batch in stage.steps(rng)
                for part in (batch.ids, batch.columns, batch.targets)
            ]

        first, again, other = epoch(1), epoch(1), epoch(2)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other, strict=True))
