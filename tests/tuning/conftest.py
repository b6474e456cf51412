"""The folder that studies run in, and searches of spaces that are given as text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shop import SMALL, build_shop

from recbole_cllm4rec.tuning.search import Search, prepare


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds ``dataset/shop``; the test runs there."""
    monkeypatch.chdir(tmp_path)
    build_shop(tmp_path)
    return tmp_path


@pytest.fixture
def search(shop: Path) -> Callable[..., Search]:
    """Prepares the search of a space, given as text, for a model on the shop."""

    def of(space: str, model: str = "EASE", **options: Any) -> Search:
        path = shop / "space.yaml"
        path.write_text(space)
        return prepare(model, "shop", path, (), {**SMALL, **options})

    return of
