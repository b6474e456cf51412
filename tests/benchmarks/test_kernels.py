"""The measure of single fast paths: what it compares, and what it prints."""

import torch

from benchmarks import kernels


def test_every_path_in_both_precisions():
    names = [(name, dtype) for name, dtype, _ in kernels.cases()]
    assert len(names) == len(set(names)) == 14


def test_a_row_a_case(monkeypatch, capsys):
    case = ("attention, 16 tokens", torch.float32, kernels.attention(16, torch.float32))
    monkeypatch.setattr(kernels, "cases", lambda: iter([case]))
    kernels.main(["--runs=1"])
    *_, row = capsys.readouterr().out.splitlines()
    *name, dtype, plain, ours, ratio = row.split()
    assert (" ".join(name), dtype) == ("attention, 16 tokens", "float32")
    assert min(float(plain), float(ours), float(ratio)) > 0
