"""Fast attention: torch's fused kernel and plain products give the same, values and gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import backbone
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from recbole_cllm4rec.backbone import attention
from recbole_cllm4rec.backbone.attention import NAME, attend

D = 4


class Layer(torch.nn.Module):
    """What an implementation asks of the module that it is called for."""

    def __init__(self, is_causal: bool, groups: int):
        super().__init__()
        self.is_causal = is_causal
        self.num_key_value_groups = groups


@given(
    documents=st.integers(1, 3),
    tokens=st.integers(1, 6),
    groups=st.sampled_from([1, 2]),
    is_causal=st.booleans(),
    padding=st.integers(0, 3),
    scaling=st.sampled_from([None, 0.3]),
)
def test_values_and_gradients_are_those_of_the_fused_kernel(documents, tokens, groups, is_causal, padding, scaling):
    seen = (torch.arange(tokens) < max(1, tokens - padding)).expand(documents, 1, tokens, tokens)
    mask = None if not padding else seen & torch.ones(tokens, tokens).tril().bool() if is_causal else seen
    results = []
    for fast in (True, False):
        torch.manual_seed(0)
        query, key, value = (torch.randn(documents, heads, tokens, D) for heads in (4, 4 // groups, 4 // groups))
        inputs = [part.requires_grad_() for part in (query, key, value)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attention, "_plain_is_faster", lambda *_: True)
            implementation = attend if fast else sdpa_attention_forward
            output, _ = implementation(Layer(is_causal, groups), *inputs, mask, scaling=scaling)
        output.square().sum().backward()
        results.append([output, *(part.grad for part in inputs)])
    for plain, fused in zip(*results, strict=True):
        torch.testing.assert_close(plain, fused, rtol=1e-3, atol=1e-5)


def test_half_precision_on_a_cpu_is_plain_and_float32_is_fused(monkeypatch):
    fused = []

    def sdpa(module, query, *args, **kwargs):
        fused.append(query.dtype)
        return sdpa_attention_forward(module, query, *args, **kwargs)

    monkeypatch.setattr(attention, "sdpa_attention_forward", sdpa)
    for dtype in (torch.float32, torch.bfloat16):
        parts = [torch.randn(2, 4, 5, D).to(dtype) for _ in range(3)]
        attend(Layer(True, 1), *parts, None)
    assert fused == [torch.float32]


def test_what_plain_products_do_not_know_goes_to_the_fused_kernel():
    parts = [torch.randn(2, 4, 5, D).bfloat16() for _ in range(3)]
    causal, _ = attend(Layer(True, 1), *parts, None)
    open_, _ = attend(Layer(True, 1), *parts, None, is_causal=False)
    assert not torch.equal(causal, open_)
    torch.testing.assert_close(open_, sdpa_attention_forward(Layer(False, 1), *parts, None)[0])


def test_every_backbone_attends_by_it(checkpoint):
    assert backbone(checkpoint).model.config._attn_implementation == NAME
