"""Decoder-only backbones: layouts, and heads that are tied or learnt."""

import numpy as np
import pytest
import torch
from checkpoints import TINY
from toy import First, backbone, word_logits
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CohereConfig,
    Gemma2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    set_seed,
)

from recbole_cllm4rec.errors import UserError

PROMPT, MAIN = [5, 6, 7], [20, 21]


def lists(layout) -> list[list[int]]:
    return [part.tolist() for part in layout]


def likelihood(model, prompt: list[int], main: list[int]) -> float:
    """−Σ_k ln p(main_k | prompt, main_<k) as a training batch would have it."""
    layout = model.lay_out_text(np.array(prompt), np.array(main), First())
    with torch.no_grad():
        states = model(model.word_embeddings[torch.tensor(layout.ids)][None], None)[0]
        logits = word_logits(model, states[layout.reads])
    return torch.nn.functional.cross_entropy(logits, torch.tensor(layout.targets), reduction="sum").item()


@pytest.fixture
def model(gpt2):
    return backbone(gpt2)


class TestLayouts:
    def test_each_main_token_is_predicted_from_the_position_before_it(self, model):
        layout = model.lay_out_text(np.array(PROMPT), np.array([20, 21, 22]), First())
        assert lists(layout) == [[5, 6, 7, 20, 21], [2, 3, 4], [20, 21, 22]]

    def test_a_single_main_token_is_predicted_from_the_prompts_last(self, model):
        assert lists(model.lay_out_text(np.array(PROMPT), np.array([20]), First())) == [PROMPT, [2], [20]]

    def test_a_question_is_answered_at_its_last_token(self, model):
        assert lists(model.lay_out_question(np.array(PROMPT), np.array(MAIN))) == [PROMPT, [2], MAIN]

    def test_a_text_is_read_at_all_its_words(self, model):
        assert lists(model.lay_out_words(np.array(PROMPT)))[:2] == [PROMPT, [0, 1, 2]]

    def test_nothing_is_added_to_a_document(self, model):
        assert model.overhead == 0


class TestTiedHead:
    def test_it_is_the_word_embeddings_themselves(self, model):
        assert model.head is None
        assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"model"}
        states = torch.randn(3, 16, generator=torch.manual_seed(0))
        expected = states.numpy() @ model.word_embeddings.numpy().T
        np.testing.assert_allclose(word_logits(model, states), expected, rtol=1e-4, atol=1e-6)
        model.word_embeddings[4] = 0
        assert (word_logits(model, states)[:, 4] == 0).all()

    def test_the_likelihood_is_that_of_the_language_model(self, gpt2, model):
        lm = AutoModelForCausalLM.from_pretrained(gpt2).eval()
        loss = lm(input_ids=torch.tensor([PROMPT + MAIN]), labels=torch.tensor([[-100] * 3 + MAIN])).loss
        assert likelihood(model, PROMPT, MAIN) == pytest.approx(2 * loss.item(), rel=1e-5)


def tied(config_class, **options):
    """A small language model whose states are far enough from 0 for a cap to tell."""
    set_seed(0)
    config = config_class(
        vocab_size=120,
        num_hidden_layers=1,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.5,
        tie_word_embeddings=True,
        **TINY,
        **options,
    )
    return AutoModelForCausalLM.from_config(config).eval()


class TestHeadsThatDoMore:
    @pytest.mark.parametrize(
        ("config", "options", "factor", "cap"),
        [
            (Gemma2Config, {"head_dim": 8, "final_logit_softcapping": 2.0}, 1, 2),
            (GraniteConfig, {"logits_scaling": 8.0}, 1 / 8, None),
            (CohereConfig, {"logit_scale": 0.25}, 1 / 4, None),
        ],
    )
    def test_the_likelihood_is_that_of_the_language_model(self, config, options, factor, cap, gpt2, tmp_path):
        lm = tied(config, **options)
        lm.save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(gpt2).save_pretrained(tmp_path)
        for dtype in (torch.float32, torch.bfloat16):
            model = backbone(tmp_path, dtype=dtype)
            assert (model.factor, model.cap) == (pytest.approx(factor, rel=0.01), cap)
        loss = lm(input_ids=torch.tensor([PROMPT + MAIN]), labels=torch.tensor([[-100] * 3 + MAIN])).loss
        assert likelihood(backbone(tmp_path), PROMPT, MAIN) == pytest.approx(2 * loss.item(), rel=1e-5)

    def test_what_is_neither_a_factor_nor_a_cap_is_refused(self, gpt2, monkeypatch):
        score = GPT2LMHeadModel.forward

        def noisy(*args, **options):
            output = score(*args, **options)
            output.logits = output.logits + torch.randn_like(output.logits)
            return output

        monkeypatch.setattr(GPT2LMHeadModel, "forward", noisy)
        with pytest.raises(UserError, match="scores words by more than their table"):
            backbone(gpt2)


class TestLearntHead:
    def test_it_is_new_and_learnt(self, llama):
        model = backbone(llama)
        own = AutoModelForCausalLM.from_pretrained(llama).lm_head.weight
        assert model.head.weight.shape == own.shape
        assert (model.head.weight - own).abs().mean() > 0.01
        learnt = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert learnt == {"head.weight"}

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_it_scores_in_float32(self, llama, dtype):
        model = backbone(llama, dtype=dtype)
        states = torch.randn(3, 16, generator=torch.manual_seed(0)).to(dtype)
        expected = states.float().numpy() @ model.head.weight.detach().numpy().T
        logits = word_logits(model, states)
        assert logits.dtype == torch.float32
        np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_a_real_language_model_finds_a_story_likely(stories):
    model = backbone(stories, max_length=512)
    assert model.head is None
    prompt, main = model.words(["Once upon a time, there was a", "little girl named Lily. She loved to play outside."])
    per_token = likelihood(model, prompt.tolist(), main.tolist()) / len(main)
    assert per_token < 1.5  # of the 6.2 nats that 512 words leave open
