"""Whole studies on the shop: what they find and leave, and how they are killed, stopped, shared and gone on with."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shop import SMALL

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure, fit, run
from recbole_cllm4rec.tuning.search import Search
from recbole_cllm4rec.tuning.study import tune

ROOT = Path(__file__).parents[2]
TWO = "reg_weight: {choices: [0.1, 100000.0]}\n"
REG = "reg_weight: {low: 1.0, high: 5000.0, log: true}\n"

PROCESS = """
import os, signal, sys, time
from pathlib import Path
from recbole_cllm4rec.tuning.search import Search
from recbole_cllm4rec.tuning.study import tune
how, options = sys.argv[1], eval(sys.argv[2])
evaluate, begun = Search.evaluate, []
def interrupted(search, values, scratch, watch):
    begun.append(values)
    def validated(epoch, score):
        watch(epoch, score)
        if how == "killed" and len(begun) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    Path(f"begun-{os.getpid()}").touch()
    patience = time.monotonic() + 300
    while how == "shared" and len(list(Path().glob("begun-*"))) < 2:
        if time.monotonic() > patience:
            sys.exit("the other process has begun no trial")
        time.sleep(0.05)
    return evaluate(search, values, scratch, validated)
Search.evaluate = interrupted
print((tune("EASE", "shop", "space.yaml", 6, (), options).score, len(begun)))
"""


def process(how: str) -> subprocess.Popen[str]:
    """A process of its own that tunes EASE, six trials."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, how, repr(SMALL)], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.fixture
def space(shop: Path) -> Path:
    """A file, to be filled, in the folder of the test."""
    return shop / "space.yaml"


def facts(name: str = "EASE") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"results/shop/tuning/{name}.json").read_text(encoding="utf-8"))
    return found


def test_the_better_of_two_values_is_found_and_its_file_repeats_it(space: Path, shop: Path) -> None:
    space.write_text(TWO)
    scores = {
        reg: fit(*configure("EASE", "shop", (), {**SMALL, "reg_weight": reg})).valid["ndcg@3"]
        for reg in (0.1, 100000.0)
    }
    assert len(set(scores.values())) == 2
    tuned = tune("EASE", "shop", space, 6, (), SMALL)
    better = max(scores, key=lambda reg: scores[reg])
    assert (tuned.values, tuned.score) == ({"reg_weight": better}, scores[better])
    assert {trial["values"]["reg_weight"]: trial["score"] for trial in facts()["trials"]} == scores
    again = run("EASE", "shop", [tuned.config_file], SMALL)
    assert again["config"]["reg_weight"] == better
    assert again["valid"]["ndcg@3"] == tuned.score
    assert again["split"] == facts()["split"]


@pytest.mark.parametrize("content", [b"no database", None])
def test_a_database_that_cannot_be_used_is_one_line(content: bytes | None, space: Path, shop: Path) -> None:
    space.write_text(TWO)
    home = Path("results/shop/tuning")
    home.parent.mkdir(parents=True)
    if content is None:
        home.write_text("a file")
    else:
        home.mkdir()
        (home / "EASE.db").write_bytes(content * 1000)
    with pytest.raises(UserError, match=r"^results/shop/tuning.*: .*set result_dir") as caught:
        tune("EASE", "shop", space, 1, (), SMALL)
    assert "\n" not in str(caught.value)


def test_nothing_but_the_bar_is_shown_and_the_log_has_the_rest(
    space: Path, shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    space.write_text(REG)
    tune("EASE", "shop", space, 2, (), {**SMALL, "show_progress": True, "run_name": "nightly/EASE"})
    out, err = capfd.readouterr()
    assert out == ""
    assert "nightly/EASE on shop" in err
    assert "2/2" in err
    assert "best NDCG@3" in err
    assert "INFO" not in err
    folder = Path("results/shop/tuning/nightly")
    assert {path.name for path in folder.iterdir()} >= {"EASE.db", "EASE.json", "EASE.md", "EASE.yaml", "EASE.logs"}
    logs = sorted((folder / "EASE.logs").iterdir())
    assert [re.sub(r"-\w{12}-", "-", log.name) for log in logs] == ["EASE-0000.log", "EASE-0001.log"]
    assert "valid_score" in logs[1].read_text()
    assert list((folder / "EASE.work").iterdir()) == []
    assert not Path("saved").exists()


def test_a_killed_study_goes_on(space: Path, shop: Path) -> None:
    space.write_text(REG)
    victim = process("killed")
    assert victim.wait() == -9
    tuned = tune("EASE", "shop", space, 6, (), SMALL)
    trials = facts()["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 6
    assert sorted(trial["number"] for trial in trials) == [0, 1, 3, 4, 5, 6]  # 2 was killed and is 3
    killed_and_resumed = {json.dumps(trial["values"]): trial["score"] for trial in trials}
    straight = tune("EASE", "shop", space, 6, (), {**SMALL, "run_name": "straight"})
    assert straight.values == tuned.values
    assert {json.dumps(trial["values"]): trial["score"] for trial in facts("straight")["trials"]} == killed_and_resumed
    assert list(Path("results/shop/tuning/EASE.work").iterdir()) == []


def test_two_processes_share_a_study(space: Path, shop: Path) -> None:
    space.write_text(REG)
    both = [process("shared"), process("shared")]
    told = [eval(one.communicate()[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    (score, begun), (same_score, begun_too) = told
    assert score == same_score == max(trial["score"] for trial in facts()["trials"])
    assert begun >= 1
    assert begun_too >= 1
    assert begun + begun_too == 6
    assert len(facts()["trials"]) == 6
    assert len({trial["values"]["reg_weight"] for trial in facts()["trials"]}) == 6


def test_stopped_by_the_user_it_says_how_to_go_on(space: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space.write_text(REG)
    begun = []

    def stopped(search: Search, values: dict[str, Any], *rest: Any) -> float:
        begun.append(values)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return 0.5

    monkeypatch.setattr(Search, "evaluate", stopped)
    with pytest.raises(KeyboardInterrupt, match=r"^stopped after 2 of 5 trials; the same command goes on$"):
        tune("EASE", "shop", space, 5, (), SMALL)
    tune("EASE", "shop", space, 5, (), SMALL)
    assert len(facts()["trials"]) == 5
    assert begun[3] == begun[2]
    assert len(begun) == 6
    tune("EASE", "shop", space, 5, (), SMALL)
    assert len(begun) == 6  # nothing is left to do but the report


def test_points_that_cannot_be_trained_are_in_the_table(space: Path, shop: Path) -> None:
    space.write_text("n_heads: {choices: [2, 3]}\nhidden_dropout_prob: {low: 0.1, high: 0.5}\n")
    tuned = tune("SASRec", "shop", space, 5, (), {**SMALL, "epochs": 1})
    assert tuned.values["n_heads"] == 2
    page = Path("results/shop/tuning/SASRec.md").read_text(encoding="utf-8")
    assert ": The hidden size (64) is not a multiple of the number of attention heads (3) |" in page
    assert "failed)" in tuned.summary


def test_cllm4rec_is_tuned_as_any_model(bert: Path, space: Path, shop: Path) -> None:
    space.write_text("lambda_c: {low: 0.01, high: 100.0, log: true}\nmask_share: {choices: [0.2, [0.1, 0.6]]}\n")
    stages = {"content_epochs": 1, "pretrain_epochs": 1, "epochs": 2, "eval_step": 1, "max_length": 64}
    options = {**SMALL, **stages, "backbone": str(bert), "token_init": "random", "precision": "float32"}
    tuned = tune("CLLM4Rec", "shop", space, 2, (), options)
    first, second = sorted(facts("CLLM4Rec")["trials"], key=lambda trial: trial["number"])
    assert first["values"] == {"lambda_c": 0.01, "mask_share": [0.1, 0.6]}  # properties/model/CLLM4Rec.yaml
    assert second["values"]["lambda_c"] != 0.01
    assert tuned.score == max(first["score"], second["score"])
    assert [len(trial["curve"]) for trial in (first, second)] == [2, 2]


def test_without_a_file_the_space_is_the_model_s_own(shop: Path) -> None:
    tune("ItemKNN", "shop", True, 2, (), SMALL)
    assert set(facts("ItemKNN")["space"]) == {"k", "shrink", "knn_method"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("DMF", "shop"), "no search space comes with DMF"),
        (("EASE", "shop", 3), "tune takes the file of a search space, or nothing for the model's own, not 3"),
        (("EASY", "shop"), "no model is called 'EASY'; did you mean 'EASE'?"),
        (("EASY", "shop", "space.yaml"), "no model is called 'EASY'; did you mean 'EASE'?"),
        (("EASE", "shop", "space.yaml", 0), "trials takes a whole number of at least 1, not 0"),
        (("EASE", "shop", "space.yaml", True), "trials takes a whole number of at least 1, not True"),
        (
            ("EASE", "shop", "space.yaml"),
            "space.yaml, line 1: 'reg_wight' is not an option; did you mean 'reg_weight'?",
        ),
    ],
)
def test_a_mistake_is_found_before_anything_is_written(
    arguments: tuple[Any, ...], message: str, space: Path, shop: Path
) -> None:
    space.write_text("reg_wight: {low: 1, high: 2}")
    model, dataset, *rest = arguments
    with pytest.raises(UserError, match=re.escape(message)):
        tune(model, dataset, *(rest or [True]), **({} if len(rest) == 2 else {"trials": 3}), overrides=SMALL)
    assert not Path("results").exists()
