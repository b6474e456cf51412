"""The command line: ``python run_recbole.py --model=CLLM4Rec --dataset=ml-100k --key=value …``."""

import sys
from collections.abc import Sequence

from recbole_cllm4rec.cmdline import parse
from recbole_cllm4rec.errors import UserError

USAGE = """\
usage: python run_recbole.py --model=MODEL --dataset=DATASET [--config_files='a.yaml b.yaml'] [--KEY=VALUE …]

Train a model, test it on the full item set, print its row, and write results/DATASET/MODEL-SEED.json.

  --model     CLLM4Rec, or any model of RecBole (EASE, BPR, MultiVAE, …)
  --dataset   ml-100k comes with RecBole; others are folders of atomic files, dataset/DATASET
              (from raw files: python -m dataset_prep --help)
  --KEY       any option of RecBole or of the model, typed as in YAML; --a.b=c sets one entry of a dictionary.
              Those of CLLM4Rec, with their defaults: properties/model/CLLM4Rec.yaml

examples:
  python run_recbole.py --model=CLLM4Rec --dataset=ml-100k
  python run_recbole.py --model=CLLM4Rec --dataset=amazon-beauty --backbone=minilm --seed=1
  python run_recbole.py --model=CLLM4Rec --dataset=ml-100k --variant=LLM-CF --run_name=LLM-CF
  python run_recbole.py --model=EASE --dataset=ml-100k --reg_weight=500
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment that ``argv`` describes; 0, or 2 after a one-line error on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or "-h" in argv or "--help" in argv:
        print(USAGE, end="")
        return 0
    try:
        _run(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _run(argv: Sequence[str]) -> None:
    options = parse(argv)
    missing = [key for key in ("model", "dataset") if key not in options]
    if missing:
        raise UserError(f"--{missing[0]} is missing: python run_recbole.py --model=CLLM4Rec --dataset=ml-100k")
    model, dataset = str(options.pop("model")), str(options.pop("dataset"))
    files = str(options.pop("config_files", "")).split()
    # Imported here, as torch takes seconds to load and neither --help nor a mistyped flag needs it.
    from recbole_cllm4rec.experiment import run
    from recbole_cllm4rec.report.table import row

    result = run(model, dataset, files, options)
    print(f"\n{dataset}, test part, seed {result['seed']}, split {result['split']['test']}")
    print(row(result, result["config"]["table_metrics"]))
