"""Fixtures for all tests: tiny checkpoints, made once a session, a real one beside the repository, and yaml files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import save_bert, save_gpt2, save_llama, save_t5
from hypothesis import settings

from recbole_cllm4rec import config_layers
from recbole_cllm4rec.yamlio import dump_yaml

STORIES = Path(__file__).parents[2] / "shared" / "models" / "stories260K"

torch.set_num_threads(1)  # tensors here are so small that threads cost more than they give
settings.register_profile("same for all", deadline=None, derandomize=True)  # a commit passes, or does not, everywhere
settings.register_profile("long", deadline=None, max_examples=400, database=None)  # of tests/fuzz
settings.load_profile("same for all")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that rewrites a document made by tests."""
    parser.addoption("--write-errors", action="store_true", help="write docs/errors.md anew")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder."""
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with a tied head."""
    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with a head of its own."""
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder-decoder, which is no backbone."""
    return save_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="session", params=["bert", "gpt2", "llama"])
def checkpoint(request: pytest.FixtureRequest) -> Path:
    """Every checkpoint that is a backbone, in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def stories() -> Path:
    """A real checkpoint of LLaMA's architecture, trained on children's stories; its head is tied."""
    if not STORIES.is_dir():
        pytest.skip(f"{STORIES} is absent")
    return STORIES


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], Path]:
    """Writes a yaml below the working folder, where ``properties`` stands in for the plugin's."""
    overall = (config_layers.properties_dir() / "overall.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_layers, "properties_dir", lambda: tmp_path / "properties")

    def write(name: str, values: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(values if isinstance(values, str) else dump_yaml(values), encoding="utf-8")
        return path

    write("properties/overall.yaml", overall)
    write("properties/model/Toy.yaml", {"layers": 2, "pooling": "mean"})
    return write
