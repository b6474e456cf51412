"""Result files: whole or not at all, and enough to repeat the run."""

import errno
import json
import os
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.registry import resolve
from recbole_cllm4rec.report import result
from recbole_cllm4rec.report.result import commit, versions, write_result
from recbole_cllm4rec.yamlio import load_yaml


def run(name: str = "EASE", **more: Any) -> dict[str, Any]:
    return {"run": name, "seed": 2020, "test": {"recall@20": 0.25}, "config": {"seed": 2020, "text": "é\x85"}, **more}


# Files


def test_what_is_written(tmp_path: Path) -> None:
    path = write_result(run(), {}, {}, tmp_path / "results" / "toy")
    assert path == tmp_path / "results" / "toy" / "EASE-2020.json"
    assert json.loads(path.read_text(encoding="utf-8")) == run()
    assert load_yaml(path.with_suffix(".yaml").read_text(encoding="utf-8")) == run()["config"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["EASE-2020.json", "EASE-2020.yaml"]
    assert path.read_text(encoding="utf-8").startswith('{\n "run": "EASE",\n "seed": 2020,\n')


@pytest.mark.parametrize("name", ["LLM-CF, λ=1", "v1.5", "lr 0.001", "ablation/LLM-CF"])
def test_runs_with_names_of_their_own(name: str, tmp_path: Path) -> None:
    path = write_result(run(name), {}, {}, tmp_path)
    assert path == tmp_path / f"{name}-2020.json"
    assert json.loads(path.read_text(encoding="utf-8"))["run"] == name
    assert Path(f"{tmp_path}/{name}-2020.yaml").is_file()


def test_a_later_run_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    write_result(run(test={"recall@20": 0.1}), {}, {}, tmp_path)
    path = write_result(run(), {}, {}, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == run()


def test_a_failing_write_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_result(run(), {}, {}, tmp_path)
    before = {file: file.read_bytes() for file in (path, path.with_suffix(".yaml"))}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"EASE-2020\.json: No space left on device; set result_dir"):
        write_result(run(test={"recall@20": 0.9}, config={"seed": 1}), {}, {}, tmp_path)
    assert {file: file.read_bytes() for file in before} == before
    assert {file.name for file in tmp_path.iterdir()} == {"EASE-2020.json", "EASE-2020.yaml"}


def test_figures_of_users(tmp_path: Path) -> None:
    figures = {"users": np.array(["u1", "ü"]), "recall@20": np.array([0.5, 1], dtype=np.float32)}
    path = write_result(run(), figures, {}, tmp_path)
    with np.load(path.with_suffix(".users.npz"), allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found} == {"users": ["u1", "ü"], "recall@20": [0.5, 1.0]}


def test_figures_of_users_do_not_outlive_their_run(tmp_path: Path) -> None:
    path = write_result(run(), {"users": np.array(["u1"])}, {}, tmp_path)
    write_result(run(), {}, {}, tmp_path)
    assert not path.with_suffix(".users.npz").exists()


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("CLLM4Rec", {"backbone": "minilm", "variant": "LLM-CF", "learning_rate": 1e-3, "run_name": "LLM-CF"}),
        ("SASRec", {"gpu_id": "", "eval_args.order": "TO", "text_template": {"item": "{movie_title}: {class}\n"}}),
        ("EASE", {"reg_weight": 1e-5, "run_name": "null", "val_interval": {"rating": "[3,inf)"}}),
    ],
)
def test_the_yaml_gives_the_configuration_again(model: str, overrides: dict[str, Any], tmp_path: Path) -> None:
    entry = resolve(model)
    effective = Config(entry.model, "ml-100k", (), overrides, entry.options).effective()
    path = write_result(run(config=effective), {}, {}, tmp_path)
    again = Config(entry.model, "ml-100k", [path.with_suffix(".yaml")], {}, entry.options)
    assert again.effective() == effective
    assert json.loads(path.read_text(encoding="utf-8"))["config"] == effective


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions()["recbole"] == "1.2.1"

    def version(package: str) -> str:
        if package == "transformers":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(result, "version", version)
    expected = dict.fromkeys(result.PACKAGES, "1") | {"transformers": "not installed"}
    assert versions() == expected


# Commit


def git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *who, *command], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the package seems to run from."""
    module = tmp_path / "recbole_cllm4rec" / "report" / "result.py"
    module.parent.mkdir(parents=True)
    module.write_text("one\n", encoding="utf-8")
    monkeypatch.setattr(result, "__file__", str(module))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return tmp_path


def test_commit(checkout: Path) -> None:
    assert commit() is None  # no checkout
    git(checkout, "init", "--quiet")
    assert commit() is None  # nothing committed
    (checkout / "results").mkdir()
    (checkout / "results" / "EASE.json").write_text("{1}", encoding="utf-8")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message=one")
    head = git(checkout, "rev-parse", "HEAD")
    assert commit() == {"hash": head, "dirty": False}
    (checkout / "results.json").write_text("{}", encoding="utf-8")
    assert commit() == {"hash": head, "dirty": False}  # what git does not know changes no figure
    (checkout / "results" / "EASE.json").write_text("{}", encoding="utf-8")
    assert commit() == {"hash": head, "dirty": False}  # nor does a result of before
    Path(result.__file__).write_text("two\n", encoding="utf-8")
    assert commit() == {"hash": head, "dirty": True}
    git(checkout, "add", ".")
    assert commit() == {"hash": head, "dirty": True}


def test_commit_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(checkout, "init", "--quiet")
    monkeypatch.setenv("PATH", str(checkout))
    assert commit() is None
