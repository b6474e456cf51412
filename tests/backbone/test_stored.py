"""Encoded texts on disk: read where they are the same, made anew where they are not, or not whole."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import backbone

from recbole_cllm4rec.backbone import stored
from recbole_cllm4rec.backbone.sentences import encode_sentences

TEXTS = ["", "a red lip stick", "so good", "", "green hair oil, a blue eye liner, not so good"]


def encode(model, folder: Path, texts=TEXTS, **options) -> tuple[list[int], torch.Tensor]:
    found, sentences = encode_sentences(model, texts, "items", False, folder=folder, **options)
    return found.tolist(), sentences


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.fixture
def silent(monkeypatch):
    """A backbone that may not be asked."""

    def hush(model):
        monkeypatch.setattr(model, "forward", lambda *_: pytest.fail("the backbone was asked"))
        return model

    return hush


def test_a_text_is_encoded_once(checkpoint, tmp_path, silent):
    found, sentences = encode(backbone(checkpoint), tmp_path)
    again = encode(silent(backbone(checkpoint)), tmp_path)
    assert again[0] == found == [1, 2, 4]
    assert torch.equal(again[1], sentences)
    assert torch.equal(encode_sentences(backbone(checkpoint), TEXTS, "items", False)[1], sentences)
    assert len(files(tmp_path)) == 1


def test_other_texts_weights_and_lengths_are_other_files(gpt2, llama, tmp_path):
    encode(backbone(gpt2), tmp_path)
    others = [
        encode(backbone(gpt2), tmp_path, TEXTS[::-1]),
        encode(backbone(gpt2, max_length=8), tmp_path),
        encode(backbone(gpt2, dtype=torch.bfloat16), tmp_path),
        encode(backbone(llama), tmp_path),
    ]
    assert len(files(tmp_path)) == 1 + len(others)


def test_what_another_tokenizer_makes_of_them_is_another_file(gpt2, tmp_path):
    model = backbone(gpt2)
    encode(model, tmp_path)
    words = model.words
    model.words = lambda texts: words([text.upper() for text in texts])
    encode(model, tmp_path)
    assert len(files(tmp_path)) == 2


def test_no_text_is_no_file(gpt2, tmp_path):
    assert encode(backbone(gpt2), tmp_path / "none", ["", ""])[1].shape == (0, 16)
    assert not (tmp_path / "none").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other(path: Path) -> None:
    np.savez(path, sentences=np.zeros((3, 15), dtype=np.float32))


def _unnamed(path: Path) -> None:
    np.savez(path, texts=np.zeros((3, 16), dtype=np.float32))


@pytest.mark.parametrize("damage", [_cut, _flip, _other, _unnamed, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_made_anew(damage, gpt2, tmp_path, caplog):
    _, sentences = encode(backbone(gpt2), tmp_path)
    (path,) = files(tmp_path)
    whole = np.load(path)["sentences"]
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(encode(backbone(gpt2), tmp_path)[1], sentences)
    assert "encoded anew" in caplog.text
    assert np.array_equal(np.load(path)["sentences"], whole)


def test_a_folder_without_room_costs_a_warning(gpt2, tmp_path, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored.np, "savez", full)
    with caplog.at_level(logging.WARNING):
        assert encode(backbone(gpt2), tmp_path)[0] == [1, 2, 4]
    assert "could not be written (No space left on device)" in caplog.text
    assert files(tmp_path) == []
