"""The clock, the rate and the high-water mark."""

import platform

import pytest
import torch

from benchmarks import measure
from benchmarks.measure import alternate, matrix_rate, peak_of

CPU = torch.device("cpu")


def test_sides_alternate_and_the_first_turn_does_not_count(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(measure, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(measure, "matrix_rate", lambda dtype, device: 2.0 if dtype == torch.bfloat16 else 1.0)
    order: list[str] = []
    sides = [(lambda: order.append("a"), torch.float32), (lambda: order.append("b"), torch.bfloat16)]
    a, b = alternate(sides, 3, CPU, lambda: order.append("|"))
    assert "".join(order) == "a|b|a|b|a|b|a|b|"
    assert a.seconds == b.seconds == [1.0, 1.0, 1.0]
    assert (a.rates, b.rates) == ([1.0] * 3, [2.0] * 3)


def test_figures_are_medians():
    timing = measure.Timing([3.0, 100.0, 1.0], [5.0, 6.0, 0.0])
    assert (timing.median, timing.rate) == (3.0, 5.0)


def test_the_rate_is_operations_over_seconds(monkeypatch):
    monkeypatch.setattr(measure, "timed", lambda run, device: 2.0)
    assert matrix_rate(torch.float32, CPU) == 1024 * 768 * 3072


@pytest.mark.skipif(not measure.RESET.exists(), reason="only Linux sets the mark back")
def test_memory_is_that_of_the_run_at_hand():
    def hold(gib: float) -> None:
        torch.ones(int(gib * 2**28)).sum()

    idle = peak_of(lambda: None, CPU)
    large, small = peak_of(lambda: hold(0.5), CPU), peak_of(lambda: hold(0.125), CPU)
    assert large - idle == pytest.approx(0.5, abs=0.1)
    assert small - idle == pytest.approx(0.125, abs=0.1)


@pytest.mark.parametrize(
    ("text", "name"), [("vendor_id : A\nmodel name\t: A 1: B\nmodel name\t: C\n", "A 1: B"), ("", platform.machine())]
)
def test_the_processor_is_named_by_its_model_where_the_system_tells(tmp_path, monkeypatch, text, name):
    monkeypatch.setattr(measure, "CPUS", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", str)
    measure.CPUS.write_text(text)
    assert measure.processor() == name
