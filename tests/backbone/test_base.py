"""What holds for every backbone, whatever its kind."""

import numpy as np
import pytest
import torch
from checkpoints import TINY
from torch import nn
from toy import backbone, word_logits
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, GemmaConfig, GemmaForCausalLM

from recbole_cllm4rec.errors import UserError

LONG, SHORT = [7, 30, 12, 9, 25, 40, 8], [11, 6, 19]


def states(model, ids: list[list[int]]) -> list[torch.Tensor]:
    """States of some documents, read by ``model`` in one batch padded with noise, without those of the padding."""
    width = max(map(len, ids))
    padded = torch.tensor([row + [33] * (width - len(row)) for row in ids])
    mask = torch.tensor([[t < len(row) for t in range(width)] for row in ids])
    with torch.no_grad():
        read = model(model.word_embeddings[padded], mask)
    return [read[b, : len(row)] for b, row in enumerate(ids)]


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "stories", "minilm"])
def test_padding_is_unseen(name, request):
    model = backbone(name if name == "minilm" else request.getfixturevalue(name))
    together = states(model, [LONG, SHORT])
    for document, state in zip([LONG, SHORT], together, strict=True):
        torch.testing.assert_close(state, states(model, [document])[0], atol=1e-5, rtol=0)


def test_states_are_those_of_transformers(checkpoint):
    read = AutoModel.from_pretrained(checkpoint).eval()(input_ids=torch.tensor([LONG])).last_hidden_state[0]
    torch.testing.assert_close(states(backbone(checkpoint), [LONG])[0], read.detach(), atol=1e-6, rtol=0)


def test_words_are_scaled_as_the_model_scales_them(gpt2, tmp_path):
    """Gemma multiplies what it looks up by √K."""
    config = GemmaConfig(
        vocab_size=120, num_hidden_layers=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=64, **TINY
    )
    GemmaForCausalLM(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(gpt2).save_pretrained(tmp_path)
    model = backbone(tmp_path)
    assert model.scale == pytest.approx(4)
    assert backbone(gpt2).scale == 1
    read = AutoModel.from_pretrained(tmp_path).eval()(input_ids=torch.tensor([LONG])).last_hidden_state[0]
    torch.testing.assert_close(states(model, [LONG])[0], read.detach(), atol=1e-5, rtol=0)


def test_an_embedding_that_is_more_than_a_table_is_refused(gpt2, monkeypatch):
    look_up = nn.Embedding.forward
    monkeypatch.setattr(nn.Embedding, "forward", lambda self, ids: look_up(self, ids) + 1)
    with pytest.raises(UserError, match="embeds words by more than a table"):
        backbone(gpt2)


def test_no_keys_and_values_are_kept(checkpoint):
    model = backbone(checkpoint).model
    assert getattr(model(input_ids=torch.tensor([LONG])), "past_key_values", None) is None


def test_words_are_the_tokenizers_without_special_tokens(checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    text = "a red lip stick, " * 40  # more than the model has positions for
    expected = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
    red, nothing = backbone(checkpoint).words([text, ""])
    assert red.tolist() == expected
    assert len(red) > 64
    assert nothing.tolist() == []
    assert red.dtype == nothing.dtype == np.int64


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frozen_weights_are_held_once_in_the_dtype_asked_for(checkpoint, dtype):
    model = backbone(checkpoint, dtype=dtype)
    held = list(model.model.parameters())
    assert sum(p.numel() for p in held) == AutoModel.from_pretrained(checkpoint).num_parameters()
    assert len({p.data_ptr() for p in held}) == len(held)
    assert {p.dtype for p in held} == {dtype} == {model.dtype}
    assert not any(p.requires_grad for p in held)


def test_trained_weights_are_float32(checkpoint):
    model = backbone(checkpoint, dtype=torch.bfloat16, trainable=True)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in model.parameters())


def test_a_checkpoint_in_half_precision_is_read_in_the_dtype_asked_for(stories):
    assert backbone(stories).dtype == torch.float32


def test_dropout_is_off_where_weights_are_frozen(checkpoint):
    model = backbone(checkpoint).train()
    assert model.training
    assert not any(module.training for module in model.model.modules())
    assert torch.equal(states(model, [LONG])[0], states(model, [LONG])[0])


def test_dropout_is_on_in_training_alone_where_weights_are_trained(gpt2):
    model = backbone(gpt2, trainable=True)
    assert not torch.equal(states(model, [LONG])[0], states(model, [LONG])[0])
    model.eval()
    assert torch.equal(states(model, [LONG])[0], states(model, [LONG])[0])
    model.train()
    assert all(module.training for module in model.model.modules())


def test_bfloat16_is_close_to_float32(checkpoint):
    full, half = backbone(checkpoint), backbone(checkpoint, dtype=torch.bfloat16)
    with torch.no_grad():
        expected = word_logits(full, states(full, [LONG])[0])
        logits = word_logits(half, states(half, [LONG])[0]).float()
    error = (logits - expected).norm() / expected.norm()
    assert 0 < error < 0.02


class TestFingerprint:
    def test_one_weight_changes_it(self, checkpoint):
        model = backbone(checkpoint)
        before = model.fingerprint()
        weight = next(model.model.parameters())
        weight.data[0, 0] += 1e-3
        assert model.fingerprint() != before
        weight.data.copy_(next(backbone(checkpoint).model.parameters()))
        assert model.fingerprint() == before

    def test_names_shapes_and_dtypes_count_and_the_order_does_not(self, gpt2):
        model = backbone(gpt2)

        def of(**weights: torch.Tensor) -> str:
            model.model.state_dict = lambda: weights
            return model.fingerprint()

        a, b = torch.zeros(2, 3), torch.ones(2, 3)
        assert of(a=a, b=b) == of(b=b, a=a)
        others = [of(a=a, c=b), of(a=b, b=a), of(a=a, b=b.T), of(a=a, b=b.view(torch.int32)), of(a=a)]
        assert len({of(a=a, b=b), *others}) == 6

    def test_the_files_that_hold_the_weights_do_not_count(self, gpt2, tmp_path):
        AutoModelForCausalLM.from_pretrained(gpt2).save_pretrained(tmp_path, max_shard_size="4KB")
        AutoTokenizer.from_pretrained(gpt2).save_pretrained(tmp_path)
        assert len(list(tmp_path.glob("*.safetensors"))) > 3
        assert backbone(tmp_path).fingerprint() == backbone(gpt2).fingerprint()

    def test_it_is_of_the_backbones_own_weights_alone(self, bert):
        assert backbone(bert, seed=1).fingerprint() == backbone(bert, seed=2).fingerprint()  # heads differ
