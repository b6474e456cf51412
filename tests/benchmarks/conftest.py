"""Two backbones and a corpus small enough to be benchmarked in no time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lengths import Lengths
from benchmarks.run import Settings
from benchmarks.workload import backbone_folder


@pytest.fixture(scope="session")
def sizes() -> dict[str, int]:
    """Of a configuration of GPT-2."""
    return {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 200, "n_positions": 64}


@pytest.fixture(scope="session")
def lengths() -> Lengths:
    """30 users, 12 items and 9 reviews."""
    return Lengths(np.repeat([3, 5, 11], 10), np.repeat([2, 7, 20], 4), np.repeat([4, 90], [8, 1]))


@pytest.fixture(scope="session")
def small_gpt2(sizes: dict[str, int]) -> Iterator[str]:
    """GPT-2's architecture in a few thousand weights."""
    with backbone_folder("gpt2-size", **sizes) as folder:
        yield folder


@pytest.fixture(params=["small_gpt2", "bert"])
def location(request: pytest.FixtureRequest) -> str:
    """A decoder, then an encoder."""
    return str(Path(request.getfixturevalue(request.param)))


@pytest.fixture
def settings() -> Settings:
    """All cases once, 20 documents each."""
    cases = ["content", "collaborative", "recommendation", "scoring"]
    return Settings(cases, 1, 20, "float32", "cpu", 1, False)
