"""The command line: commands that are right, with a word or two of them wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import POP, cases, ground, judged, prep, run
from hypothesis import example, given
from mutations import changed_words

RUN = [*POP, "--show_progress=False"]
COMMANDS = [
    RUN,
    [*RUN, "--config_files=shop.yaml", "--eval_args.split.RS=[0.6,0.2,0.2]", "--seed=3"],
    [*RUN, "--resume"],
    [*RUN, "--audit"],
    [*RUN, "--resume=saved/shop/Pop-2020-0123456789abcdef/1"],
    ["--models=Pop,EASE@1", *RUN[1:], "--seeds=1", "--reference=Pop"],
    ["--model=EASE", *RUN[1:], "--tune=space.yaml", "--trials=1"],
    ["--recommend=results/shop/Pop-2020.json", "--out=recommendations.csv", "--k=2"],
]
# No path that leads out of the folder, no network, no seconds of training, no thousand workers.
PIECES = [
    *(
        "",
        "=",
        "==",
        "--",
        "-",
        "---",
        "-h",
        "#",
        "a #b",
        "'",
        '"',
        "'a",
        "[",
        "]",
        "[]",
        "{",
        "{}",
        "{a: b, a: c}",
        ",",
    ),
    *("~", "null", "None", "true", "True", "1", "-1", "0", "1e3", "1e400", "9" * 40, "9" * 5000, "0x" + "f" * 5000),
    *(
        "[1,2]",
        "[a]",
        "[Pop]",
        "[Pop, 1]",
        "{a: 1}",
        "1:2:3",
        "0b_",
        ".inf",
        ".nan",
        "2024-01-31",
        "!!bool x",
        "!!int ''",
    ),
    *("!!binary aa", "!!timestamp x", "!!python/object:os.system x", "&a [*a]", "*a", "[" * 2000, "? [a]", "<<: 1"),
    *("Pop", "pop", "EASE", "EASE:paper", "Pop:LLM-CF", "Pop@0", "Pop@2", "EASE@9999", "shop", "ml-1m", "NoSuch"),
    *("model", "models", "dataset", "seeds", "resume", "tune", "audit", "recommend", "out", "k", "trials", "reference"),
    *(
        "config_files",
        "epochs",
        "topk",
        "metrics",
        "valid_metric",
        "eval_args",
        "eval_args.split",
        "eval_args.split.RS.x",
    ),
    *(
        "a.b",
        "a..b",
        "shop.yaml",
        "space.yaml",
        "broken.yaml",
        "dataset",
        "dataset/shop/shop.inter",
        "results",
        "saved",
    ),
    *(
        "a" * 300,
        "a/" * 300,
        "é",
        "\x1b[31m",
        "a\nb",
        "\ud800",
        '"\\0"',
        '"\\ud800"',
        "\x7f",
        "%d",
        "{0}",
        "\\",
        "*",
        "?",
    ),
]


def _run(words: list[str], finished: Path) -> None:
    with ground(finished):
        Path("shop.yaml").write_text("epochs: 2\n")
        Path("broken.yaml").write_text("epochs: [2\n")
        Path("space.yaml").write_text("reg_weight: {low: 1.0, high: 2.0}\n")
        judged(words)


@cases()
@given(words=changed_words(COMMANDS, PIECES))
@example(words=["--models=3", "--dataset=shop"])
@example(words=["--models=[Pop, 1]", "--dataset=shop"])
@example(words=[*RUN[2:], "--model=Pop", "--dataset=" + "a" * 300])
@example(words=[*RUN, "--data_path=" + "a" * 300])
@example(words=[*RUN, "--config_files=[a.yaml, 1]"])
@example(words=[*RUN, "--x=" + "[" * 2000])
@example(words=[*RUN, "--x=!!bool maybe"])
@example(words=[*RUN, "--seed=0x" + "f" * 5000])
@example(words=[*RUN, '--result_dir="\\0"'])
@example(words=[*RUN, "--run_name=../../elsewhere"])
@example(words=[*RUN, "--load_col={inter: 5}"])
@example(words=[*RUN, "--config_file=shop.yaml"])
def test_words_that_are_wrong(words: list[str], finished: Path) -> None:
    _run(words, finished)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (["run_recbole.py"], ["--dataset=shop"]),
        (["-m", "recbole_cllm4rec"], [*RUN, "--epochs=many"]),
        (["-m", "dataset_prep"], ["jobs", "clicks.csv", "--out=dataset/work"]),
    ],
)
def test_a_user_gets_what_these_tests_look_at(
    program: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, *(str(root / word) if word.endswith(".py") else word for word in program), *words]
    with ground():
        ended = subprocess.run(command, capture_output=True, text=True)
        capsys.readouterr()
        assert (prep if "dataset_prep" in program else run)(words) == ended.returncode == 2
    assert ended.stderr.splitlines() == capsys.readouterr().err.splitlines()
