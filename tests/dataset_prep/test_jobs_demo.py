"""The synthetic set: files by seed, through the conversion of anyone's files, and called synthetic throughout."""

from pathlib import Path

import pytest
import yaml

from dataset_prep.__main__ import main

SIZE = ("--members", "40", "--jobs", "20")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*words: str) -> bytes:
    """The interactions of a small set."""
    assert main(["jobs-demo", *SIZE, *words, "--out", "dataset/demo", "--overwrite"]) == 0
    return Path("dataset/demo/demo.inter").read_bytes()


def test_a_seed_says_it_all():
    first = make()
    assert make("--seed", "1") == first
    assert make("--seed", "2") != first


def test_it_is_what_jobs_makes_of_its_files(capsys):
    make()
    raw = Path("dataset/raw/jobs-demo")
    files = [str(raw / "clicks.csv"), "--members", str(raw / "members.csv"), "--jobs", str(raw / "jobs.csv")]
    assert main(["jobs", *files, "--out", "dataset/own"]) == 0
    for ending in ("inter", "user", "item"):
        assert Path(f"dataset/own/own.{ending}").read_bytes() == Path(f"dataset/demo/demo.{ending}").read_bytes()
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Next: python run_recbole.py --model=CLLM4Rec --dataset=own --backbone=minilm"
    )


def test_it_is_called_synthetic_wherever_it_appears(capsys):
    make()
    for path in ("dataset/demo/demo.card.md", "dataset/demo/demo.yaml", "dataset/raw/jobs-demo/README.txt"):
        assert "SYNTHETIC DATA" in Path(path).read_text()
    assert "exp(6 · share of the required skills" in Path("dataset/demo/demo.card.md").read_text()
    with pytest.raises(SystemExit):
        main(["jobs-demo", "--help"])
    assert "SYNTHETIC" in capsys.readouterr().out


def test_biographies_and_contents_are_its_texts():
    make()
    settings = yaml.safe_load(Path("dataset/demo/demo.yaml").read_text())
    assert settings["text_fields"] == {
        "item": ["title", "description", "location"],
        "user": ["headline", "about", "city"],
    }
    assert "for_model" not in settings  # the recipe of the model itself


@pytest.mark.parametrize("words", [("--members", "0"), ("--jobs", "some"), ("--seed", "-1")])
def test_a_wrong_number_is_one_line(words, capsys):
    with pytest.raises(SystemExit):
        main(["jobs-demo", *words, "--out", "dataset/demo"])
    assert capsys.readouterr().err.count("\n") == 1
