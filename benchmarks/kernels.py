"""What single fast paths save, and what ``torch.compile`` would: ``python -m benchmarks.kernels``."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import torch
from tabulate import tabulate
from torch import Tensor, nn
from transformers import GPT2Config
from transformers.activations import ACT2FN
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from benchmarks.measure import alternate
from recbole_cllm4rec.backbone.attention import NAME, attend
from recbole_cllm4rec.model.losses import negative_log_likelihood

CPU = torch.device("cpu")
TOKENS, HEADS, HEAD_SIZE = 1024, 12, 64
"""Of GPT-2, and as many tokens as a product needs to be at its best."""

Run = Callable[[], None]


def attention(length: int, dtype: torch.dtype) -> tuple[Run, Run]:
    """1,024 tokens in documents of ``length``, causal: by torch's fused kernel, and as the package does."""
    shape = (TOKENS // length, HEADS, length, HEAD_SIZE)
    inputs = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]
    module = nn.Module()
    module.is_causal = True  # type: ignore[assignment]

    def run(implementation: Callable[..., tuple[Tensor, None]]) -> None:
        _backward(implementation(module, *inputs, None)[0], inputs)

    return partial(run, sdpa_attention_forward), partial(run, attend)


def activation(dtype: torch.dtype) -> tuple[Run, Run]:
    """GPT-2's own form of GELU and the one kernel of the same function, over 512 × 3072."""
    x = torch.randn(512, 3072, dtype=dtype, requires_grad=True)

    def run(name: str) -> None:
        _backward(ACT2FN[name](x), [x])

    return partial(run, "gelu_new"), partial(run, "gelu_pytorch_tanh")


def likelihood(dtype: torch.dtype) -> tuple[Run, Run]:
    """512 states against 50,257 frozen words: all logits at once with autograd, and as the package does."""
    states = torch.randn(512, 768, dtype=dtype, requires_grad=True)
    words = torch.randn(50_257, 768, dtype=dtype)
    reads, targets = torch.arange(512), torch.randint(50_257, (512,))

    def plain() -> None:
        _backward(nn.functional.cross_entropy((states @ words.T).float(), targets, reduction="sum"), [states])

    def ours() -> None:
        _backward(negative_log_likelihood(states, words, reads, targets), [states])

    return plain, ours


def layer(dtype: torch.dtype) -> tuple[Run, Run]:
    """A frozen layer of GPT-2 as the package runs it, 64 documents of 16 tokens, and compiled, which it is not."""
    config = GPT2Config(activation_function="gelu_pytorch_tanh")
    config._attn_implementation = NAME
    eager = GPT2Block(config, layer_idx=0).to(dtype).eval().requires_grad_(False)
    compiled = torch.compile(eager)
    x = torch.randn(TOKENS // 16, 16, HEADS * HEAD_SIZE, dtype=dtype, requires_grad=True)

    def run(block: Callable[[Tensor], Tensor]) -> None:
        _backward(block(x), [x])

    return partial(run, eager), partial(run, compiled)


def cases() -> Iterator[tuple[str, torch.dtype, tuple[Run, Run]]]:
    """Name, precision, and the two sides."""
    for dtype in (torch.bfloat16, torch.float32):
        for length in (16, 40, 128, 512):
            yield f"attention, {length} tokens", dtype, attention(length, dtype)
        yield "activation", dtype, activation(dtype)
        yield "likelihood", dtype, likelihood(dtype)
        yield "layer, compiled (not used)", dtype, layer(dtype)


def _backward(output: Tensor, inputs: list[Tensor]) -> None:
    output.sum().backward()
    for tensor in inputs:
        tensor.grad = None


def main(argv: list[str] | None = None) -> None:
    """Measure both sides in turn and print medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="counted runs of each side (9)")
    runs = parser.parse_args(argv).runs
    rows = []
    for name, dtype, (plain, other) in cases():
        before, after = alternate([(plain, dtype), (other, dtype)], runs, CPU, lambda: None)
        milliseconds = [1000 * timing.median for timing in (before, after)]
        rows.append([name, str(dtype).removeprefix("torch."), *milliseconds, milliseconds[0] / milliseconds[1]])
    print(tabulate(rows, ["", "precision", "before, ms", "after, ms", "ratio"], floatfmt=".1f"))


if __name__ == "__main__":
    main()
