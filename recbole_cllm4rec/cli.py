"""The command line: ``python run_recbole.py --model=CLLM4Rec --dataset=ml-100k --key=value …``."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from recbole_cllm4rec.cmdline import parse
from recbole_cllm4rec.errors import UserError, line, shown
from recbole_cllm4rec.options import Between, Name, Place, check_value

SEEDS = 1000  # of one row: more are a slip of the finger
USAGE = """\
usage: python run_recbole.py --model=MODEL --dataset=DATASET [--config_files='a.yaml b.yaml'] [--KEY=VALUE …]
       python run_recbole.py --model=MODEL --dataset=DATASET --resume[=FOLDER] [--KEY=VALUE …]
       torchrun --nproc-per-node=N run_recbole.py --model=CLLM4Rec --dataset=DATASET [--KEY=VALUE …]
       python run_recbole.py --models=A,B,C --dataset=DATASET [--seeds=N] [--reference=A] [--KEY=VALUE …]
       python run_recbole.py --model=MODEL --dataset=DATASET --audit
       python run_recbole.py --model=MODEL --dataset=DATASET --tune[=SPACE] [--trials=N]
       python run_recbole.py --recommend=results/DATASET/RUN.json --out=FILE.csv [--k=20]

Train a model, test it on the full item set, print its row, and write results/DATASET/MODEL-SEED.json.

  --model     CLLM4Rec, or any model of RecBole (EASE, BPR, MultiVAE, …)
  --models    several, side by side: results/DATASET/comparison.{md,csv,tex,json,png}. MODEL:VARIANT is a row too,
              MODEL@N has N seeds. Runs that are finished are not repeated
  --seeds     runs of each, with seeds from `seed` on (1); the split stays that of `split_seed`
  --reference the row that the others are tested against (the first)
  --resume    go on with the newest run of this configuration, or with that in a folder; what is finished is reported
  --audit     look for leaks of held-out interactions in everything this model reads, and train nothing
  --tune      choose hyper-parameters on validation, from a yaml or a RecBole file (properties/tuning/MODEL.yaml)
  --trials    points to try (30)
  --recommend write the k best items of every user, by raw ids, with the model of a finished run; what a user has is
              left out
  --dataset   ml-100k comes with RecBole; others are folders of atomic files, dataset/DATASET
              (from raw files: python -m dataset_prep --help)
  --KEY       any option of RecBole or of the model, typed as in YAML; --a.b=c sets one entry of a dictionary.
              Those of CLLM4Rec, with their defaults: properties/model/CLLM4Rec.yaml

examples:
  python run_recbole.py --model=CLLM4Rec --dataset=ml-100k
  python run_recbole.py --model=CLLM4Rec --dataset=amazon-beauty --backbone=minilm --seed=1
  python run_recbole.py --models=CLLM4Rec,CLLM4Rec:LLM-CF,MultiVAE,EASE --dataset=ml-100k --seeds=5
  python run_recbole.py --model=EASE --dataset=ml-100k --reg_weight=500
  python run_recbole.py --recommend=results/ml-100k/CLLM4Rec-2020.json --out=for_users.csv
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment that ``argv`` describes; 0, or 2 after a one-line error on stderr.

    Where torchrun started this process with others, they run it together, and one of them says what there is to say.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or "-h" in argv or "--help" in argv:
        print(USAGE, end="")
        return 0
    if not _has_company():
        return _answer(argv, partial(print, file=sys.stderr))
    from recbole_cllm4rec import processes

    with processes.joined():
        return _answer(argv, processes.say_once)


def _answer(argv: Sequence[str], say: Callable[[str], None]) -> int:
    try:
        _run(argv)
    except UserError as error:
        say(f"error: {line(error)}")
        return 2
    except KeyboardInterrupt as stop:
        words = str(stop) if stop.args else "stopped"
        if number := getattr(stop, "number", None):  # of the signal; the training is saved
            say(f"{words}\ngo on with: {_command(_resuming(argv))}")
            return 128 + int(number)
        say(words)
        return 130
    return 0


def _has_company() -> bool:
    """Whether torchrun started this process, and others; it says so in these variables."""
    return "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", 1)) > 1


def _run(argv: Sequence[str]) -> None:
    options = parse(argv)
    if _has_company() and (alone := sorted({"recommend", "models", "audit", "tune"}.intersection(options))):
        raise UserError(f"--{alone[0]} runs in one process: leave out torchrun")
    if "recommend" in options:
        _recommend(options)
        return
    commands = {"models": _compare, "audit": _audit, "tune": _tune}
    asked = [name for name in commands if name in options]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} are two commands: give one")
    needed = ["dataset"] if "models" in options else ["model", "dataset"]
    if missing := [key for key in needed if key not in options]:
        raise UserError(f"--{missing[0]} is missing: python run_recbole.py --model=CLLM4Rec --dataset=ml-100k")
    dataset, files = _text(options, "dataset"), _files(options.pop("config_files", ""))
    # The commands import what they need, as torch takes seconds to load, for which no mistyped flag should wait.
    commands[asked[0]](options, dataset, files, argv) if asked else _single(options, dataset, files)


def _single(options: dict[str, Any], dataset: str, files: Sequence[str]) -> None:
    from recbole_cllm4rec import processes
    from recbole_cllm4rec.experiment import run
    from recbole_cllm4rec.report.table import row

    resume = options.pop("resume", False)
    if not isinstance(resume, bool | str) or resume == "":
        raise UserError(f"--resume takes the folder of a run, or nothing for the newest, not {shown(resume)}")
    check_value("--resume", bool | Place, resume)
    result = run(_text(options, "model"), dataset, files, options, resume)
    if not processes.is_main():
        return
    print(f"\n{dataset}, test part, seed {result['seed']}, split {result['split']['test']}")
    print(row(result, result["config"]["table_metrics"]))


def _compare(options: dict[str, Any], dataset: str, files: Sequence[str], argv: Sequence[str]) -> None:
    from recbole_cllm4rec.comparison.compare import compare
    from recbole_cllm4rec.report.render import as_text

    if "model" in options:
        raise UserError("--model and --models: name all models in --models, as --models=CLLM4Rec,EASE")
    asked = options.pop("models")
    models = [part.strip() for part in asked.split(",")] if isinstance(asked, str) else asked
    if not isinstance(models, list) or not models or not all(isinstance(model, str) for model in models):
        raise UserError(f"--models takes names with commas between, as --models=CLLM4Rec,EASE, not {shown(asked)}")
    reference = _text(options, "reference") if "reference" in options else None
    seeds = _count(options, "seeds", 1, SEEDS)
    if options.pop("resume", True) is not True:
        raise UserError("--models goes on with whatever was stopped: leave out --resume")
    table, paths = compare(models, dataset, seeds, reference, files, options, _command(argv))
    print(as_text(table), *paths, sep="\n")


def _audit(options: dict[str, Any], dataset: str, files: Sequence[str], argv: Sequence[str]) -> None:
    from recbole_cllm4rec.auditing import audit
    from recbole_cllm4rec.protocol.leakage import report

    if options.pop("audit") is not True:
        raise UserError("--audit takes no value")
    verdicts, path = audit(_text(options, "model"), dataset, files, options)
    print(report(verdicts), path, sep="\n")
    if not all(verdict.passed for verdict in verdicts):
        raise UserError(f"{sum(not verdict.passed for verdict in verdicts)} of the checks failed, see above")


def _tune(options: dict[str, Any], dataset: str, files: Sequence[str], argv: Sequence[str]) -> None:
    from recbole_cllm4rec.tuning.study import tune

    space, trials = options.pop("tune"), _count(options, "trials", 30)
    if isinstance(space, str):
        check_value("--tune", Place, space)
    print(tune(_text(options, "model"), dataset, space, trials, files, options).summary)


def _resuming(argv: Sequence[str]) -> list[str]:
    """What goes on where ``argv`` was stopped: a comparison does by itself."""
    options = parse(argv)
    return [*argv] if "models" in options or options.get("resume") else [*argv, "--resume"]


def _command(argv: Sequence[str]) -> str:
    program = f"torchrun {_machines()}" if _has_company() else "python"
    return f"{program} run_recbole.py {shlex.join(argv)}"


def _machines() -> str:
    """How many processes torchrun starts, as it is told; what else it takes on several machines is their owner's."""
    here, all_ = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return f"--nproc-per-node={here}" if here == all_ else f"--nnodes={all_ // here} --nproc-per-node={here}"


def _recommend(options: dict[str, Any]) -> None:
    """The run brings its model, its data and all its options."""
    run, out, k = options.pop("recommend"), options.pop("out", None), _count(options, "k", 20)
    if options:
        legal = f"--{next(iter(options))} is no option of --recommend: legal are --k and --out"
        raise UserError(f"{legal}, as the rest is that of the run")
    if not isinstance(run, str) or not isinstance(out, str):
        missing = "--out" if isinstance(run, str) else "the run"
        raise UserError(f"{missing} is missing: --recommend=results/DATASET/RUN.json --out=FILE.csv")
    for name, path in (("--recommend", run), ("--out", out)):
        check_value(name, Place, path)
    from recbole_cllm4rec.recommending import recommend

    rows = recommend(Path(run if run.endswith(".json") else f"{run}.json"), k, Path(out))
    print(f"{out}: {rows:,} recommendations")


def _count(options: dict[str, Any], key: str, default: int, most: int = 10**6) -> int:
    return check_value(f"--{key}", Annotated[int, Between(1, most)], options.pop(key, default))


def _text(options: dict[str, Any], key: str) -> str:
    """A name, which may look like a whole number."""
    value = options.pop(key)
    return check_value(f"--{key}", Name, str(value) if type(value) is int else value)


def _files(value: Any) -> list[str]:
    """Paths with spaces between, or a list of them."""
    files = value.split() if isinstance(value, str) else value
    return check_value("--config_files", list[Place], files)
