"""Weights on disk: safetensors, written under a temporary name and renamed, so that a file is whole or not there."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recbole_cllm4rec.checkpoint.files import reason, rename, sync
from recbole_cllm4rec.errors import UserError


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Everything of ``model`` that training may move, by name; frozen weights are their owner's to keep."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def set_trained(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """The inverse of :func:`trained`. Raises ``KeyError`` where a parameter of the model is lacking."""
    for name, parameter in trained(model).items():
        parameter.copy_(tensors[name])


def save_weights(path: Path, model: nn.Module) -> None:
    """What is :func:`trained`, in the file ``path``.

    Raises :class:`UserError` where it cannot be written; a file that was there stays as it was.
    """
    temporary = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.cpu().contiguous() for name, tensor in trained(model).items()}, temporary)
        sync(temporary)
        rename(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: the best weights could not be saved ({reason(error)}): make room there") from error


def load_weights(path: Path, model: nn.Module) -> None:
    """The inverse of :func:`save_weights`. Raises ``KeyError`` where the file lacks a parameter of the model."""
    set_trained(model, load_file(path))
