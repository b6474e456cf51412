"""Weights on disk: safetensors, written under a temporary name and renamed, so that a file is whole or not there."""

import os
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn


def save_weights(path: Path, model: nn.Module) -> None:
    """Everything of ``model`` that training may move; frozen weights are their owner's to keep."""
    tensors = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    save_file(tensors, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_weights(path: Path, model: nn.Module) -> None:
    """The inverse of :func:`save_weights`. Raises ``KeyError`` where the file lacks a parameter of the model."""
    tensors = load_file(path)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(tensors[name])
