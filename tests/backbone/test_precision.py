"""The precision of frozen weights: what is asked for, or what a measurement finds faster."""

import pytest
import torch

from recbole_cllm4rec.backbone import precision
from recbole_cllm4rec.backbone.precision import matmul_seconds, resolve_precision

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """The dtypes that were timed, where one of them takes a second and the other ten: ``measured.fast = dtype``."""

    class Measured(list):
        fast = torch.float32

        def seconds(self, dtype: torch.dtype, device: str) -> float:
            self.append((dtype, device))
            return 1.0 if dtype == self.fast else 10.0

    clock = Measured()
    monkeypatch.setattr(precision, "matmul_seconds", clock.seconds)
    precision._faster.cache_clear()
    yield clock
    precision._faster.cache_clear()


@pytest.mark.parametrize("fast", [torch.float32, torch.bfloat16])
def test_auto_is_the_faster_and_measured_once(measured, fast):
    measured.fast = fast
    assert resolve_precision("auto", CPU) == resolve_precision("auto", CPU) == fast
    assert sorted(map(str, measured)) == ["(torch.bfloat16, 'cpu')", "(torch.float32, 'cpu')"]


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_is_known_and_not_measured(measured, native, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert resolve_precision("auto", torch.device("cuda", 0)) == expected
    assert measured == []


@pytest.mark.parametrize("fast", [torch.float32, torch.bfloat16])
def test_what_is_asked_for_is_obeyed_unmeasured(measured, fast):
    measured.fast = fast
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16
    assert measured == []


def test_a_larger_product_takes_longer():
    assert 0 < matmul_seconds(torch.float32, "cpu", rows=4) < matmul_seconds(torch.float32, "cpu", rows=2048)
