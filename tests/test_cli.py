"""The command line as a user meets it: mistakes end in one line, with nothing half-written."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stopping
from shop import build_shop

from recbole_cllm4rec.cli import main

TINY = "--content_epochs=0 --pretrain_epochs=0 --epochs=1 --show_progress=False"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the checkout: properties are found from any folder, and runs leave their files here."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--dataset=ml-100k", "--model is missing"),
        ("--model=EASE", "--dataset is missing"),
        ("--model=EASY --dataset=ml-100k", "no model is called 'EASY'; did you mean 'EASE'?"),
        ("--model=EASE --dataset=beauty", "dataset 'beauty' is not in dataset/beauty: convert raw files with"),
        (
            "--model=EASE --dataset=amazon-toys",
            "dataset 'amazon-toys' is not in dataset/amazon-toys: make it of public files with `python -m dataset_prep "
            "amazon --download amazon-toys --out dataset/amazon-toys`, ",
        ),
        ("--model=EASE --dataset=ml-100k --reg_wight=3", "'reg_wight' is not an option; did you mean 'reg_weight'?"),
        ("--model=BPR --dataset=ml-100k --epochs=many", "epochs takes a whole number of at least 0, not 'many'"),
        ("--model=CLLM4Rec --dataset=ml-100k --variant=LLM-CB", "CLLM4Rec has no variant 'LLM-CB'"),
        ("--model=CLLM4Rec --dataset=ml-100k --token_init=texts", "did you mean 'text'?"),
        ("--model=CLLM4Rec --dataset=ml-100k --mask_share=[0.6,0.1]", "give one share, or two, the lower first"),
        ("--model=CLLM4Rec --dataset=ml-100k --text_fields.item=[movietitle]", "did you mean 'movie_title'?"),
        ("--model=CLLM4Rec --dataset=ml-100k --backbone=scratch --max_length=8", "raise max_length"),
        ("--model=EASE --dataset=ml-100k --config_files=nowhere.yaml", "nowhere.yaml cannot be read"),
        ("--model=EASE --dataset=ml-100k --seed=1 --seed=2", "seed"),
        ("--model=EASE --dataset=ml-100k results", "results"),
        ("--model=EASE --models=EASE,Pop --dataset=ml-100k", "name all models in --models"),
        ("--models=EASE,Popp --dataset=ml-100k", "no model is called 'Popp'"),
        ("--models=EASE --dataset=ml-100k --seeds=0", "--seeds takes a whole number from 1 to 1000, not 0"),
        ("--models=EASE --dataset=ml-100k --audit", "--models and --audit are two commands: give one"),
        ("--model=EASE --dataset=ml-100k --audit=full", "--audit takes no value"),
        ("--models=EASE", "--dataset is missing"),
        ("--model=CLLM4Rec --dataset=ml-100k --resume=3", "--resume takes the folder of a run, or nothing for the"),
        ("--model=EASE --dataset=ml-100k --resume=saved/x", "saved/x has no checkpoint to go on from"),
        ("--models=EASE --dataset=ml-100k --resume=saved/x", "--models goes on with whatever was stopped"),
        ("--model=EASE --dataset=ml-100k --checkpoint_minutes=-1", "checkpoint_minutes takes a number of at least 0"),
    ],
)
def test_a_mistake_is_one_line(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not Path("results").exists()


def test_an_unreachable_backbone_names_what_works_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["--model=CLLM4Rec", "--dataset=ml-100k", "--backbone=gpt2"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "'gpt2'" in error
    assert "'minilm'" in error
    assert "'scratch'" in error


def test_a_loss_that_overflows_names_stage_epoch_and_batch(bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = f"--model=CLLM4Rec --dataset=ml-100k --backbone={bert} --max_length=64 --learning_rate=1e30 {TINY}"
    assert main([*arguments.split(), "--train_batch_size=64"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "in stage 'finetuning', epoch 1, batch " in error
    assert "lower the learning rate" in error


def test_a_stopped_training_says_how_to_go_on_and_does(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_shop(Path.cwd())
    options = {key: value for key, value in stopping.options(gpt2).items() if key != "gpu_id"}
    arguments = ["--model=CLLM4Rec", "--dataset=shop", *(f"--{key}={value}" for key, value in options.items())]
    with monkeypatch.context() as patch:
        stopping.stop_at(patch, "_step", 7)
        assert main(arguments) == 128 + signal.SIGTERM
    *_, stopped, goes_on = capsys.readouterr().err.strip().splitlines()
    assert stopped.startswith("stopped by SIGTERM, saved in saved/shop/CLLM4Rec-2020-")
    program, script, *again = shlex.split(goes_on.removeprefix("go on with: "))
    assert [program, script, again[-1]] == ["python", "run_recbole.py", "--resume"]
    assert main(again) == 0
    row = capsys.readouterr().out.strip().splitlines()[-1]
    monkeypatch.setattr("recbole_cllm4rec.experiment.fit", lambda *_, **__: pytest.fail("it runs again"))
    assert main(again) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == row


def test_help_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "python run_recbole.py --model=CLLM4Rec --dataset=ml-100k" in capsys.readouterr().out


def test_a_model_of_recbole_ends_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model=EASE", "--dataset", "ml-100k", "--show_progress=False"]) == 0
    header, row = capsys.readouterr().out.strip().splitlines()[-2:]
    assert header.split() == ["model", "cappedrecall@20", "cappedrecall@40", "ndcg@100", "recall@20", "recall@40"]
    assert row.split()[0] == "EASE"
    assert Path("results/ml-100k/EASE-2020.json").is_file()


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, recbole_cllm4rec, recbole_cllm4rec.cli; "
        "print([m for m in ('torch', 'transformers', 'ray', 'recbole') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_running_loads_no_ray() -> None:
    code = "import sys, recbole_cllm4rec.experiment; print([m for m in ('ray', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
