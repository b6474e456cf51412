"""What a study leaves behind, from literal trials."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recbole_cllm4rec.cmdline import parse
from recbole_cllm4rec.config_layers import read_yaml
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.tuning.report import command, ranked, write_report
from recbole_cllm4rec.tuning.search import Record, Search

Prepare = Callable[..., Search]
SPACE = """\
learning_rate: {low: 1.0e-4, high: 0.1, log: true}
mask_share: {choices: [0.2, [0.1, 0.6]]}
"""
TRIALS = [
    Record(0, "complete", 0.25, {"learning_rate": 1e-3, "mask_share": 0.2}, {0: 0.25, 1: 0.2}, 61.0, None),
    Record(1, "failed", None, {"learning_rate": 0.1, "mask_share": 0.2}, {}, 1.0, "the loss | became nan"),
    Record(2, "pruned", 0.5, {"learning_rate": 1e-4, "mask_share": 0.2}, {0: 0.5}, 2.0, None),
    Record(4, "complete", 0.75, {"learning_rate": 1 / 300, "mask_share": [0.1, 0.6]}, {0: 0.75}, 3.5, None),
    Record(5, "pruned", 0.1, {"learning_rate": 1e-4, "mask_share": 0.2}, {0: 0.1}, 0.5, None),
]


def test_the_best_complete_trial_comes_first_whichever_way_is_up() -> None:
    assert [record.number for record in ranked(TRIALS, maximises=True)] == [4, 0, 2, 5, 1]
    assert [record.number for record in ranked(TRIALS, maximises=False)] == [0, 4, 5, 2, 1]


def test_the_page(search: Prepare) -> None:
    found = replace(search(SPACE, "CLLM4Rec"), split={"train": "5:aa", "valid": "1:bb", "test": "1:cc"})
    write_report(found, "CLLM4Rec-1234", TRIALS, Path("best"))
    page = Path("best.md").read_text(encoding="utf-8")
    assert page.startswith(
        """\
# best on shop

5 trials (2 complete, 2 pruned, 1 failed) in 68 seconds, chosen by NDCG@3 on the validation part; the test part was \
not scored.

| parameter | searched | chosen |
| --- | --- | --- |
| learning_rate | 0.0001 to 0.1, log | 0.00333333 |
| mask_share | 0.2, [0.1, 0.6] | [0.1, 0.6] |

| NDCG@3 | learning_rate | mask_share | trial | state | validations | seconds |
| --- | --- | --- | --- | --- | --- | --- |
| 0.75 | 0.00333333 | [0.1, 0.6] | 4 | complete | 1 | 3.5 |
| 0.25 | 0.001 | 0.2 | 0 | complete | 2 | 61.0 |
| 0.5 | 0.0001 | 0.2 | 2 | pruned | 1 | 2.0 |
| 0.1 | 0.0001 | 0.2 | 5 | pruned | 1 | 0.5 |
|  | 0.1 | 0.2 | 1 | failed: the loss \\| became nan | 0 | 1.0 |

- study `CLLM4Rec-1234`, Optuna """
    )
    assert page.endswith("- train `5:aa`\n- valid `1:bb`\n- test `1:cc`\n")


def test_the_values_are_written_in_full(search: Prepare) -> None:
    tuned = write_report(search(SPACE, "CLLM4Rec"), "CLLM4Rec-1234", TRIALS, Path("best"))
    values = {"learning_rate": 1 / 300, "mask_share": [0.1, 0.6]}
    assert (tuned.values, tuned.score, tuned.config_file) == (values, 0.75, Path("best.yaml"))
    assert read_yaml(tuned.config_file) == values
    found = "NDCG@3 0.750000 on the validation part in trial 4, the best of 5 (2 complete, 2 pruned, 1 failed)"
    assert tuned.config_file.read_text().startswith(f"# best on shop: {found}\n")
    assert tuned.summary.startswith(f"best on shop: {found}\n")
    facts = json.loads(Path("best.json").read_text(encoding="utf-8"))
    assert facts["trials"][0]["values"] == values
    assert facts["trials"][1]["curve"] == {"0": 0.25, "1": 0.2}
    assert facts["space"]["mask_share"] == {"choices": [0.2, [0.1, 0.6]]}
    assert facts["config_hash"] == search(SPACE, "CLLM4Rec").config.digest()
    assert tuned.summary.splitlines()[1:4] == [
        f"  learning_rate: {1 / 300}",
        "  mask_share: [0.1, 0.6]",
        "all trials: best.md",
    ]


def test_the_command_means_what_was_tuned(search: Prepare) -> None:
    options = {"run_name": "a b", "text_template": {"item": "{title}: #1"}, "loss_type": "1", "gpu_id": ""}
    found = replace(search(SPACE, "CLLM4Rec"), files=("one.yaml", Path("two.yaml")), overrides=options)
    python, script, *words = shlex.split(command(found, Path("best.yaml")))
    assert (python, script) == ("python", "run_recbole.py")
    asked = {"model": "CLLM4Rec", "dataset": "shop", "config_files": "one.yaml two.yaml best.yaml"}
    assert parse(words) == {**asked, **options}


def test_where_nothing_came_to_its_end_nothing_is_written(search: Prepare) -> None:
    failed = TRIALS[1:2]
    with pytest.raises(UserError, match=r"none of 1 trials \(1 failed\) came to its end: the loss \| became nan"):
        write_report(search(SPACE, "CLLM4Rec"), "CLLM4Rec-1234", failed, Path("best"))
    assert not list(Path().glob("best*"))


def test_a_folder_that_cannot_be_written(search: Prepare) -> None:
    with pytest.raises(UserError, match=r"best\.json\.partial: No such file or directory; set result_dir"):
        write_report(search(SPACE, "CLLM4Rec"), "CLLM4Rec-1234", TRIALS, Path("nowhere/best"))
