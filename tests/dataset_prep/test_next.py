"""The command that a conversion prints last: it trains and tests as it stands, however little data there is."""

import json
import shlex
from pathlib import Path

import pytest
from raw_files import everyone, review, save

from dataset_prep.__main__ import main
from recbole_cllm4rec import cli

FEW_EPOCHS = ("--content_epochs=1", "--pretrain_epochs=1", "--epochs=1", "--show_progress=False")
ALL = ("--min-user", "0", "--min-item", "0")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def next_of(capsys, *words: str) -> list[str]:
    """The arguments of run_recbole.py that a conversion proposes."""
    assert main(["amazon", *words]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert command[:3] == ["Next:", "python", "run_recbole.py"]
    return command[3:]


def trained(arguments: list[str], dataset: str = "tiny") -> dict:
    assert cli.main([*arguments, *FEW_EPOCHS]) == 0
    (result,) = Path("results", dataset).glob("CLLM4Rec-*.json")
    return json.loads(result.read_text())


@pytest.mark.parametrize(("users", "items"), [(1, 3), (3, 9)])
def test_a_handful_of_users_and_items(users, items, capsys):
    reviews = [review(f"u{u}", f"i{i}") for u in range(users) for i in range(items) if items < 9 or (u + i) % 3]
    save(Path("reviews.gz"), reviews)
    arguments = next_of(capsys, "reviews.gz", *ALL, "--out", "dataset/tiny")
    assert arguments == ["--model=CLLM4Rec", "--dataset=tiny", "--backbone=minilm"]
    assert set(trained(arguments)["test"]) >= {"recall@1", "ndcg@1", "cappedrecall@1"}


def test_no_text_at_all(capsys):
    save(Path("reviews.gz"), everyone())
    words = ("reviews.gz", "--review-text", "none", *ALL, "--out", "elsewhere/tiny")
    arguments = next_of(capsys, *words)
    assert arguments[2:] == ["--backbone=minilm", "--data_path=elsewhere"]
    assert next_of(capsys, *words) == arguments  # of the dataset that is there
    assert trained(arguments)["config"]["variant"] == "no-text"


def test_a_recipe_for_items_with_text_yields_where_they_have_none(capsys):
    save(Path("reviews.gz"), everyone())
    arguments = next_of(capsys, "reviews.gz", *ALL, "--out", "dataset/amazon-beauty")
    assert trained(arguments, "amazon-beauty")["config"]["token_init"] == "random"  # properties/dataset has text
