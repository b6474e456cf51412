"""Texts to vectors: the mean states of a backbone, whatever batch a text is in."""

import numpy as np
import pytest
import torch
from toy import backbone
from transformers import AutoModel, AutoTokenizer

from recbole_cllm4rec.backbone.sentences import encode_sentences

TEXTS = ["", "a red lip stick", "so good", "", "green hair oil, a blue eye liner, not so good"]


def encode(model, texts=TEXTS, **options) -> tuple[list[int], torch.Tensor]:
    found, sentences = encode_sentences(model, texts, "items", False, **options)
    return found.tolist(), sentences


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_the_mean_of_all_states_is_that_of_transformers(name, request):
    folder = request.getfixturevalue(name)
    tokenizer, lm = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found, sentences = encode(backbone(folder))
    assert found == [1, 2, 4]
    for text, sentence in zip(("a red lip stick", "so good", TEXTS[4]), sentences, strict=True):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        ids = [2, *ids, 3] if name == "bert" else ids  # [CLS] … [SEP]
        with torch.no_grad():
            states = lm(input_ids=torch.tensor([ids])).last_hidden_state[0]
        torch.testing.assert_close(sentence, states.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tokens", [1, 8, 30])
def test_batches_change_nothing(checkpoint, tokens):
    model = backbone(checkpoint)
    torch.testing.assert_close(encode(model, max_batch_tokens=tokens)[1], encode(model)[1], atol=1e-5, rtol=1e-4)


def test_a_long_text_loses_its_end(checkpoint):
    model = backbone(checkpoint, max_length=8)
    layout = model.lay_out_words(model.words([TEXTS[4]])[0][: 8 - model.overhead])
    with torch.no_grad():
        expected = model(model.word_embeddings[torch.from_numpy(layout.ids)][None], None)[0].mean(0)
    torch.testing.assert_close(encode(model, [TEXTS[4]])[1][0], expected, atol=1e-5, rtol=1e-4)


def test_no_text_no_sentence(gpt2):
    found, sentences = encode(backbone(gpt2), ["", ""])
    assert found == []
    assert sentences.shape == (0, 16)


@pytest.mark.parametrize("training", [True, False])
def test_there_is_no_dropout_and_the_mode_stays(gpt2, training):
    model = backbone(gpt2, trainable=True).train(training)
    (_, once), (_, again), (_, frozen) = encode(model), encode(model), encode(backbone(gpt2))
    assert torch.equal(once, again)
    assert torch.equal(once, frozen)
    assert model.training is training
    assert not once.requires_grad


def test_they_are_float32_in_any_precision(gpt2):
    _, sentences = encode(backbone(gpt2, dtype=torch.bfloat16))
    assert sentences.dtype == torch.float32
    np.testing.assert_allclose(sentences, encode(backbone(gpt2))[1], atol=0.05)


@pytest.mark.parametrize("shown", [True, False])
def test_the_bar_says_whose_texts_they_are(gpt2, shown, capsys):
    encode_sentences(backbone(gpt2), TEXTS, "items", shown)
    assert ("encode the text of items: 100%" in capsys.readouterr().err) is shown
