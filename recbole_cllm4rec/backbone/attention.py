"""Attention by what is fastest where it runs, behind the name by which transformers finds an implementation."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "short_documents"
"""Of the implementation, as ``set_attn_implementation`` takes it."""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """softmax(s Q Kᵀ) V [B, T, H, D] by three plain products, or by torch's fused kernel where that is faster.

    The arguments are those of every implementation in transformers: ``query`` [B, H, T, D], ``key`` and ``value``
    [B, G, T, D] with H a multiple of G; ``attention_mask`` [B or 1, 1, T, T] is true where a key is seen, None if the
    module's own ``is_causal`` tells all.
    """
    if not _plain_is_faster(query, key, kwargs):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    B, H, T, D = query.shape
    key, value = (repeat_kv(part, H // part.shape[1]).reshape(B * H, T, D) for part in (key, value))
    scale = D**-0.5 if scaling is None else scaling
    nothing = query.new_zeros(())  # what baddbmm adds its product to; there only for its scale
    scores = torch.baddbmm(nothing, query.reshape(B * H, T, D), key.transpose(1, 2), beta=0, alpha=scale)  # [BH, T, T]
    if attention_mask is None and getattr(module, "is_causal", True):
        attention_mask = torch.ones(T, T, dtype=torch.bool, device=query.device).tril()
    if attention_mask is not None:
        unseen = torch.zeros_like(attention_mask, dtype=scores.dtype).masked_fill_(~attention_mask, -torch.inf)
        scores.view(B, H, T, T).add_(unseen)
    weights = nn.functional.dropout(scores.softmax(-1), dropout)
    return torch.bmm(weights, value).view(B, H, T, D).transpose(1, 2), None


def _plain_is_faster(query: Tensor, key: Tensor, kwargs: dict[str, Any]) -> bool:
    # On a CPU the fused kernel is slow in half precision: python -m benchmarks.kernels.
    plain = all(kwargs.get(name) is None for name in ("is_causal", "position_bias", "softcap", "cache"))
    half = query.device.type == "cpu" and query.dtype != torch.float32
    return plain and half and query.shape[2] == key.shape[2]


def use_fast_attention(model: Any) -> Any:
    """``model``, attending by :func:`attend` where it would use torch's fused kernel."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)
    return model


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
