"""Which precision the frozen weights are computed in: bfloat16 where this machine is fast at it, float32 elsewhere."""

from functools import cache
from time import perf_counter
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The named dtype; ``auto`` is bfloat16 on a GPU that computes in it, and on a CPU the faster of the two in a
    product measured here, once, in under a second.
    """
    if precision == "auto" and device.type == "cuda":  # where a product so small measures its launch and nothing else
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if precision == "auto":
        return _faster(device.type)
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@cache
def _faster(device: str) -> torch.dtype:
    # A processor may accept bfloat16 and emulate it a hundred times slower than float32, so only a measurement tells.
    return min((torch.float32, torch.bfloat16), key=lambda dtype: matmul_seconds(dtype, device))


def matmul_seconds(dtype: torch.dtype, device: str, rows: int = 256, width: int = 384) -> float:
    """Shortest of three timings of a [rows, width] × [width, 4 width] product, the shape of a feed-forward layer."""
    a = torch.ones(rows, width, dtype=dtype, device=device)
    b = torch.ones(width, 4 * width, dtype=dtype, device=device)
    seconds = []
    for _ in range(3):
        start = perf_counter()
        (a @ b).sum().item()  # the sum's value waits for the product
        seconds.append(perf_counter() - start)
    return min(seconds)
