"""Recommendations as a file: raw ids, nothing that a user has, the scores of the model of the run."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recbole.data.interaction import Interaction
from shop import SMALL, shop_in
from torch import from_numpy

from recbole_cllm4rec import recommending
from recbole_cllm4rec.cli import main
from recbole_cllm4rec.experiment import run
from recbole_cllm4rec.recommending import load, recommend

SHORT = {"content_epochs": 0, "pretrain_epochs": 0, "epochs": 1, "max_length": 64, "precision": "float32"}


@pytest.fixture(scope="module")
def home(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with finished runs of CLLM4Rec, EASE and BERT4Rec."""
    with shop_in(tmp_path_factory, "runs") as folder:
        run("CLLM4Rec", "shop", (), {**SMALL, **SHORT, "backbone": str(bert)})
        run("EASE", "shop", (), SMALL)
        run("BERT4Rec", "shop", (), {**SMALL, "epochs": 1})
        yield folder


@pytest.fixture(autouse=True)
def _there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def result(model: str) -> Path:
    return Path(f"results/shop/{model}-2020.json")


def had() -> dict[str, set[str]]:
    """The items of every user in the data, by raw ids."""
    lines = Path("dataset/shop/shop.inter").read_text().splitlines()[1:]
    items: dict[str, set[str]] = {}
    for line in lines:
        user, item, _ = line.split("\t")
        items.setdefault(user, set()).add(item)
    return items


@pytest.mark.parametrize("model", ["CLLM4Rec", "EASE"])
@pytest.mark.parametrize("block", [4096, 5])
def test_the_best_of_what_a_user_does_not_have(
    model: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommending, "BLOCK", block)
    monkeypatch.setattr(recommending, "SCORES", 10 * block)
    out = tmp_path / "out.csv"
    n_rows = recommend(result(model), 4, out)
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["user_id", "item_id", "rank", "score"]
    assert len(rows) == n_rows
    found: dict[str, list[list[str]]] = {}
    for user, *rest in rows:
        found.setdefault(user, []).append(rest)

    trained, history = load(result(model)), had()
    data = trained.train
    assert set(found) <= set(history)
    for user, items in history.items():
        id_ = data.token2id("user_id", user)
        asked = Interaction({"user_id": from_numpy(np.array([id_]))})
        scores = trained.model.full_sort_predict(asked).detach().view(-1).numpy()
        unseen = [item for item in data.field2token_id["item_id"] if item != "[PAD]" and item not in items]
        best = sorted(unseen, key=lambda item: -scores[data.token2id("item_id", item)])[:4]
        of_user = found.get(user, [])
        assert [rank for _, rank, _ in of_user] == [str(rank + 1) for rank in range(len(best))]
        theirs = [scores[data.token2id("item_id", item)] for item, _, _ in of_user]
        assert theirs == pytest.approx([scores[data.token2id("item_id", item)] for item in best], abs=1e-5)
        assert [float(score) for *_, score in of_user] == pytest.approx(theirs, rel=1e-4, abs=1e-4)
        assert not {item for item, *_ in of_user} & items


@pytest.mark.parametrize("model", ["CLLM4Rec", "EASE"])
def test_all_that_a_user_has_is_read(model: str) -> None:
    trained = load(result(model))
    read = trained.model.histories.matrix(10) if model == "CLLM4Rec" else trained.model.interaction_matrix
    items = trained.train.field2id_token["item_id"]
    for user, expected in had().items():
        assert {items[j] for j in read[trained.train.token2id("user_id", user)].indices} == expected


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    assert main([f"--recommend={result('EASE').with_suffix('')}", "--k=2", f"--out={out}"]) == 0
    n_rows = len(out.read_text().splitlines()) - 1
    assert capsys.readouterr().out == f"{out}: {n_rows} recommendations\n"
    assert main([f"--recommend={result('EASE')}", f"--out={out}"]) == 2
    assert capsys.readouterr().err == f"error: --out {out} exists: give another name, or delete it\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"--recommend={result('EASE')}", "--out is missing: --recommend=results/DATASET/RUN.json --out=FILE.csv"),
        (f"--recommend={result('EASE')} --out=a.csv --k=0", "--k takes a whole number from 1 to 1000000, not 0"),
        (f"--recommend={result('EASE')} --out=a.csv --seed=1", "--seed is no option of --recommend: legal are --k and"),
        (f"--recommend={result('EASE')} --out=no/a.csv", "--out no/a.csv: there is no folder no; make it"),
        ("--recommend=results/shop/Pop-2020 --out=a.csv", "results/shop/Pop-2020.json cannot be read"),
        (
            f"--recommend={result('BERT4Rec')} --out=a.csv",
            "models that need a user's id alone, which BERT4Rec",
        ),
    ],
)
def test_a_mistake_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not Path("a.csv").exists()
