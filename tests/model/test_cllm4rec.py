"""CLLM4Rec on three users: every loss and every score once more by hand, and what each pass may move."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from byhand import ByHand, apart, build, passes, scores, table
from recbole.data.interaction import Interaction

from recbole_cllm4rec.corpus.text import Histories
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model import cllm4rec

INTERACTIONS = [
    ("<user_1> has interacted with", "<item_1> <item_2> <item_3>"),
    ("<user_2> has interacted with", "<item_3> <item_4>"),
    ("<user_3> has interacted with", "<item_5>"),
]
CONTENTS = [
    ("The biography of <user_1> is:", "so good"),
    ("The biography of <user_3> is:", "not so bad"),
    ("The content of <item_1> is:", "red lip stick"),
    ("The content of <item_2> is:", "blue eye liner"),
    ("The content of <item_4> is:", "green hair oil"),
    ("<user_1> writes the review for <item_2>:", "very good"),
    ("<user_2> writes the review for <item_3>:", "bad very bad"),
]
QUESTIONS = [  # 0.7 of a history is masked, here its first items
    ("<user_1> has interacted with <item_3> the user will interact with:", "<item_1> <item_2>"),
    ("<user_2> has interacted with <item_4> the user will interact with:", "<item_3>"),
    ("<user_3> has interacted with | the user will interact with:", "<item_5>"),
]
WORD_HEADS = {
    "bert": {"backbone.bias", *(f"backbone.transform.{k}.{kind}" for k in (0, 2) for kind in ("weight", "bias"))},
    "gpt2": set(),
    "llama": {"backbone.head.weight"},
}
HISTORIES = [
    "<user_1> has interacted with <item_1> <item_2> <item_3>",
    "<user_2> has interacted with <item_3> <item_4>",
    "<user_3> has interacted with <item_5>",
]


@pytest.mark.parametrize("scope", ["per-document", "per-token"])
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_the_loss_of_every_stage(name, scope, request):
    folder = request.getfixturevalue(name)
    config = toy.options(folder, loss_scope=scope, lambda_c=3.0, mask_share=0.7)
    model = apart(toy.build(config))
    by_hand = ByHand(folder, model)
    stages = passes(model, config)

    def loss(stage: str, current: str) -> float:
        (batch,) = stages[stage][current].batches(toy.First())
        return stages[stage][current].loss(batch).item()

    assert loss("content", "content") == pytest.approx(by_hand.word_loss(CONTENTS, scope, regularised=False), rel=1e-4)
    c_step = by_hand.word_loss(CONTENTS, scope, regularised=True)
    l_step = by_hand.item_loss(INTERACTIONS, scope)
    assert loss("pretraining", "collaborative") == pytest.approx(l_step, rel=1e-4)
    assert loss("pretraining", "content") == pytest.approx(c_step, rel=1e-4)
    finetuning = by_hand.item_loss(QUESTIONS, scope, question=True)
    assert loss("finetuning", "recommendation") == pytest.approx(finetuning, rel=1e-4)
    assert loss("finetuning", "content") == pytest.approx(c_step, rel=1e-4)
    assert len({round(value, 3) for value in (l_step, c_step, finetuning)}) == 3


class TestItemHead:
    def test_it_is_the_item_rows_of_the_collaborative_view(self, gpt2):
        model = build(gpt2)
        states = torch.randn(2, 16, generator=torch.manual_seed(0))
        logits = model.item_logits(states)
        expected = states.numpy() @ model.collaborative.items[1:].detach().numpy().T  # but the padding item
        np.testing.assert_allclose(logits[:, 1:].detach(), expected, rtol=1e-4, atol=1e-6)
        assert (logits[:, 0] == -torch.inf).all()

    def test_a_row_is_both_read_and_scored(self, gpt2):
        model = build(gpt2)
        before = scores(model, 1)[0]
        model.collaborative.items.data[5, 0] += 1.0  # item 5 is not in the history of user 1
        after = scores(model, 1)[0]
        assert (before[1:5] == after[1:5]).all()
        assert before[5] != after[5]
        model.collaborative.items.data[1, 0] += 1.0  # item 1 is
        assert (scores(model, 1)[0][1:] != after[1:]).all()

    def test_no_gradient_comes_from_the_padding_item(self, gpt2):
        model = build(gpt2)
        model.item_logits(torch.ones(1, 16)).softmax(dim=1)[0, 2].backward()
        gradient = model.collaborative.items.grad
        assert (gradient[0] == 0).all()
        assert gradient[1:].abs().min() > 0


class TestWhatAPassMoves:
    @staticmethod
    def moved(model, current, steps: int = 3) -> set[str]:
        """Names of the parameters that some steps changed in any bit."""
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        model.train()
        for _ in range(steps):
            (batch,) = current.batches(np.random.default_rng(0))
            current.zero_grad()
            current.loss(batch).backward()
            current.step()
        return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}

    @pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
    def test_its_view_and_for_words_a_learnt_head(self, name, request):
        config = toy.options(request.getfixturevalue(name))
        model = toy.build(config)
        stages = passes(model, config)
        words = {"content.users", "content.items", *WORD_HEADS[name]}
        collaborative = {"collaborative.users", "collaborative.items"}
        assert self.moved(model, stages["content"]["content"]) == words
        assert self.moved(model, stages["pretraining"]["collaborative"]) == collaborative
        assert self.moved(model, stages["pretraining"]["content"]) == words
        assert self.moved(model, stages["finetuning"]["recommendation"]) == collaborative
        assert self.moved(model, stages["finetuning"]["content"]) == words

    def test_tokens_of_no_document_stay(self, gpt2):
        config = toy.options(gpt2)
        model = toy.build(config)
        before = table(model.content).copy()
        self.moved(model, passes(model, config)["content"]["content"])
        rows = (table(model.content) != before).any(axis=1).nonzero()[0].tolist()
        assert rows == [1, 2, 3, *(4 + item for item in (1, 2, 3, 4))]  # nobody wrote of item 5

    @pytest.mark.parametrize(
        ("changes", "stage", "current"),
        [
            ({"train_backbone": True}, "pretraining", "collaborative"),
            ({"train_backbone": True}, "content", "content"),
            ({"pretrained": False}, "finetuning", "recommendation"),
        ],
    )
    def test_a_backbone_that_is_trained(self, gpt2, changes, stage, current):
        config = toy.options(gpt2, **changes)
        model = toy.build(config)
        view = "content" if current == "content" else "collaborative"
        own = {f"{view}.users", f"{view}.items"}
        moved = self.moved(model, passes(model, config)[stage][current])
        assert moved == {*own, *(f"backbone.model.{name}" for name, _ in model.backbone.model.named_parameters())}


class TestPrediction:
    @pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
    @pytest.mark.parametrize(("epochs", "question"), [(1, " the user will interact with:"), (0, "")])
    def test_the_state_after_the_history_scores_the_items(self, name, epochs, question, request):
        folder = request.getfixturevalue(name)
        model = build(folder, epochs=epochs).eval()
        by_hand = ByHand(folder, model)
        own = table(model.collaborative)
        states = np.stack([by_hand.answer(history + question, own) for history in HISTORIES])
        found = scores(model, 1, 2, 3)
        np.testing.assert_allclose(found[:, 1:], by_hand.item_scores(states), rtol=1e-4, atol=1e-5)
        assert (found[:, 0] == -torch.inf).all()

    @pytest.mark.parametrize("tokens", [16384, 20])
    def test_it_does_not_depend_on_who_else_is_in_the_batch(self, checkpoint, tokens):
        model = build(checkpoint, max_batch_tokens=tokens).eval()
        together = scores(model, 3, 1, 2, 1)
        for row, user in zip(together, (3, 1, 2, 1), strict=True):
            torch.testing.assert_close(row, scores(model, user)[0], atol=1e-5, rtol=0)

    def test_pairs_are_scored_as_in_the_full_ranking(self, checkpoint):
        model = build(checkpoint).eval()
        pairs = Interaction({"user": torch.tensor([2, 1, 2]), "item": torch.tensor([5, 1, 1])})
        ranking = scores(model, 1, 2)
        torch.testing.assert_close(model.predict(pairs), torch.stack([ranking[1, 5], ranking[0, 1], ranking[1, 1]]))

    def test_a_user_without_a_history_is_asked_too(self, gpt2):
        model = build(gpt2)
        assert scores(model, 0)[0, 1:].isfinite().all()

    def test_of_a_history_over_the_room_the_latest_items_are_read(self, gpt2):
        items = np.arange(99) % 5 + 1
        long, short = (replace(toy.CORPUS, histories=Histories(np.ones(n, dtype=int), items[-n:], 4)) for n in (99, 7))
        model = toy.build(toy.options(gpt2, max_length=64), long)
        room = 64 - len(model.history_prompt.question(1, np.array([], dtype=int)))
        assert model.history_room == room > 7
        cut = toy.build(toy.options(gpt2, max_length=64 - room + 7), long)
        assert torch.equal(scores(cut, 1), scores(toy.build(toy.options(gpt2), short), 1))


class TestRecommend:
    def test_the_best_of_what_is_new_to_a_user(self, checkpoint):
        model = build(checkpoint).eval()
        items, found = model.recommend([2, 1, 2], 3)
        ranking = scores(model, 2, 1, 2)
        for row, known in enumerate(([3, 4], [1, 2, 3], [3, 4])):
            ranking[row, known] = -torch.inf
        expected = ranking.topk(3)
        torch.testing.assert_close(found, expected.values)
        left = found.isfinite()
        assert left.tolist() == [[True] * 3, [True, True, False], [True] * 3]
        assert torch.equal(items[left], expected.indices[left])
        assert items[1, 2] == 0  # five items, three of them known

    def test_histories_may_stay(self, gpt2):
        model = build(gpt2)
        items, _ = model.recommend(np.array([1]), 5, excluded=[cllm4rec.NOTHING])
        assert sorted(items[0].tolist()) == [1, 2, 3, 4, 5]
        assert model.training

    def test_what_is_named_is_left_out_in_place_of_histories(self, gpt2):
        items, _ = build(gpt2).recommend([1, 3], 4, excluded=[np.array([4]), np.array([1, 2])])
        assert [sorted(some) for some in items.tolist()] == [[1, 2, 3, 5], [0, 3, 4, 5]]

    def test_users_come_a_part_at_a_time(self, gpt2, monkeypatch):
        model = build(gpt2).eval()
        together = model.recommend([1, 2, 3], 2)
        monkeypatch.setattr(cllm4rec, "USERS_AT_ONCE", 2)
        for found, expected in zip(model.recommend([1, 2, 3], 2), together, strict=True):
            torch.testing.assert_close(found, expected)

    def test_nobody_is_recommended_nothing(self, gpt2):
        assert [part.shape for part in build(gpt2).recommend([], 2)] == [(0, 2), (0, 2)]


class TestSampledHead:
    def test_with_all_items_drawn_the_loss_is_the_full_one(self, checkpoint):
        losses = []
        for changes in ({"sampled_above": 5}, {"sampled_above": 4, "n_sampled": 5}):
            config = toy.options(checkpoint, mask_share=0.7, **changes)
            model = apart(toy.build(config))
            current = passes(model, config)["finetuning"]["recommendation"]
            (batch,) = current.batches(toy.First())
            losses.append(current.loss(batch).item())
        assert model.samples_items
        assert losses[1] == pytest.approx(losses[0], rel=1e-5)

    def test_scoring_is_never_sampled(self, gpt2):
        sampled, full = (build(gpt2, sampled_above=above, n_sampled=1) for above in (4, 5))
        assert torch.equal(scores(sampled, 1, 2), scores(full, 1, 2))


class TestWithoutContentView:
    def test_there_is_no_table_and_no_regularisation(self, gpt2):
        config = toy.options(gpt2, content_view=False, mask_share=0.7)
        model = apart(toy.build(config))
        assert model.content is None
        assert [name for name, p in model.named_parameters() if p.requires_grad] == [
            "collaborative.users",
            "collaborative.items",
        ]
        current = passes(model, config)["finetuning"]["recommendation"]
        (batch,) = current.batches(toy.First())
        expected = ByHand(gpt2, model).item_loss(QUESTIONS, "per-document", question=True)
        assert current.loss(batch).item() == pytest.approx(expected, rel=1e-4)


class TestTokensThatNoTextTeaches:
    """User 2 and item 3 have a review alone, item 5 has nothing, nor have the paddings."""

    def test_of_views_that_start_apart_they_are_not_regularised(self, gpt2):
        told = toy.build(toy.options(gpt2)).told
        assert told.tolist() == [
            False,
            True,
            True,
            True,
            False,
            True,
            True,
            True,
            True,
            False,
        ]  # three users, then five items

    def test_of_views_that_start_alike_they_stay_near_their_start(self, gpt2):
        assert toy.build(toy.options(gpt2, token_init="text")).told.all()


class TestTokensFromText:
    @pytest.mark.parametrize("trained", [False, True])
    @pytest.mark.parametrize("name", ["bert", "gpt2"])
    def test_centred_and_normalised_mean_states(self, name, trained, request):
        folder = request.getfixturevalue(name)
        model = toy.build(toy.options(folder, token_init="text", train_backbone=trained))
        by_hand = ByHand(folder, model)
        length = np.linalg.norm(by_hand.words, axis=1).mean()
        rows = {"user": [1, 3], "item": [4 + item for item in (1, 2, 4)]}
        texts = {"user": ["so good", "not so bad"], "item": ["red lip stick", "blue eye liner", "green hair oil"]}
        for kind in ("user", "item"):
            means = []
            for text in texts[kind]:
                ids = by_hand.ids(text)
                ids = [2, *ids, 3] if name == "bert" else ids  # [CLS] … [SEP]
                means.append(by_hand.states(ids, np.empty((0, 16))).mean(axis=0))
            centred = np.array(means) - np.mean(means, axis=0)
            expected = centred / np.linalg.norm(centred, axis=1, keepdims=True) * length
            for view in (model.collaborative, model.content):
                np.testing.assert_allclose(table(view)[rows[kind]], expected, rtol=1e-3, atol=1e-5)
        assert model.backbone.training

    def test_tokens_without_a_text_stay_random(self, gpt2, caplog):
        caplog.set_level("INFO")
        random, text = (toy.build(toy.options(gpt2, token_init=start)) for start in ("random", "text"))
        assert caplog.messages == ["2 items have no text; their tokens start at random"]
        without = [0, 2, *(4 + item for item in (0, 3, 5))]
        found, start = table(text.collaborative), table(random.collaborative)
        assert (found[without] == start[without]).all()
        changed = (found != start).any(axis=1)
        assert changed.tolist() == [row not in without for row in range(10)]

    def test_users_need_no_text(self, gpt2):
        silent = replace(toy.CORPUS, user_texts=[""] * 4)
        text, random = (toy.build(toy.options(gpt2, token_init=start), silent) for start in ("text", "random"))
        assert torch.equal(text.collaborative.users, random.collaborative.users)

    def test_no_item_text_at_all_is_the_users_error(self, gpt2):
        silent = replace(toy.CORPUS, item_texts=[""] * 6)
        for changes, names in (
            ({"token_init": "text"}, "token_init"),
            ({"shared_words": True, "scoring_prior": 1.0}, "shared_words, tfidf_weight, sentence_weight"),
        ):
            with pytest.raises(UserError, match=rf"^no item has a text for {names}: .* --variant=no-text$"):
                toy.build(toy.options(gpt2, **changes), silent)


def test_tokens_start_small_and_random(gpt2):
    corpus = replace(toy.CORPUS, n_users=1000, n_items=1000)
    corpus = replace(corpus, histories=Histories(toy.USERS, toy.ITEMS, 1000), user_texts=[], item_texts=[], reviews=[])
    model = toy.build(toy.options(gpt2), corpus)
    for view in (model.collaborative, model.content):
        assert table(view).shape == (2000, 16)
        assert table(view).mean() == pytest.approx(0, abs=1e-3)
        assert table(view).std() == pytest.approx(0.02, rel=0.05)
    assert not torch.equal(model.collaborative.items, model.content.items)
