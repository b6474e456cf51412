"""What else the recipe could have: ``python -m benchmarks.leads``.

Every lead changes one thing of the recipe, is trained with one seed and judged on the validation part; nothing is
tested. What is there already of the same configuration is not trained again. A lead that changes the prediction alone
is judged with the weights of a finished run of the recipe.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tabulate import tabulate
from tqdm import tqdm

from benchmarks import changes
from recbole_cllm4rec.checkpoint.resume import finished
from recbole_cllm4rec.compat import fresh_logger
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure, fit
from recbole_cllm4rec.finished import bring_back
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.registry import Entry
from recbole_cllm4rec.report.rows import read_result
from recbole_cllm4rec.training.trainer import StagedTrainer


class Lead(NamedTuple):
    """What it changes, in words, in options and in classes."""

    change: str
    options: dict[str, Any]
    model: type[CLLM4Rec] = CLLM4Rec
    trainer: type[StagedTrainer] = StagedTrainer
    at_prediction: bool = False


POOLED: dict[str, Any] = {"variant": "pooled", "pool_attention": False, "user_shrink": 0.0}
"""What the leads are changes of: ``pooled`` before two of them, ``attention`` and ``growing-user``, were taken."""
DEFAULT: dict[str, Any] = {"variant": "recommended"}
LEADS = {
    "pooled": Lead("as it was", POOLED),
    "random-start": Lead("tokens start at random", {**POOLED, "token_init": "random"}),
    "residual-0.01": Lead("residual to the text, weight 0.01", POOLED, changes.near_text(0.01)),
    "residual-1": Lead("residual to the text, weight 1", POOLED, changes.near_text(1.0)),
    "attention": Lead("items pooled by attention", {**POOLED, "pool_attention": True}),
    "fixed-gains": Lead("gains, the head's temperatures, not learnt", POOLED, changes.without("log_gains")),
    "no-bias": Lead("no item biases", POOLED, changes.without("bias")),
    "mask-0.2": Lead("a fifth masked, always", {**POOLED, "mask_share": 0.2}),
    "dropped-items": Lead("items shown left out at random", POOLED, changes.with_head(changes.DroppingHead)),
    "no-user": Lead("no user token", POOLED, changes.with_head(changes.NoUserHead)),
    "growing-user": Lead("user token by (n + 1) / (n + 6)", {**POOLED, "user_shrink": 5.0}),
    "both": Lead("both attention and growing-user", {"variant": "pooled"}),
    "averaged": Lead("running mean of the weights", POOLED, trainer=changes.AveragingTrainer),
    "moved-user": Lead("the default, user tokens learn by the state too", DEFAULT, changes.MovedUser),
    "unheard-user": Lead("the default, the state reads no user token", DEFAULT, changes.UnheardUser),
    "content": Lead("content LLM on texts, λ_c 0.01", {**POOLED, "content_view": True}),
    "aligned": Lead("tokens told by their texts, contrastively, weight 0.1", POOLED, changes.aligned(0.1)),
    "distilled": Lead("scores without the prior like the prior's", POOLED, changes.distilled(1.0)),
    "orders": Lead("the default, four orders averaged", DEFAULT, changes.SeveralOrders, at_prediction=True),
}


def judge(name: str, dataset: str, overrides: dict[str, Any], there: dict[str, Any] | None) -> dict[str, Any]:
    """The best validation figures of a lead; those that are ``there`` if its configuration is the same."""
    lead = LEADS[name]
    entry, config = configure("CLLM4Rec", dataset, overrides=overrides | lead.options)
    if there is not None and there["config_hash"] == config.digest():
        return there
    fresh_logger(config)
    entry = entry._replace(model=lead.model, trainer=lead.trainer)
    found = at_prediction(entry, config) if lead.at_prediction else after_training(entry, config)
    return {"change": lead.change, "config_hash": config.digest(), "seed": config["seed"], **found}


def after_training(entry: Entry, config: Config) -> dict[str, Any]:
    """The best validation figures of a training, whose checkpoints nobody else is to go on from."""
    with TemporaryDirectory() as scratch:
        config["checkpoint_dir"] = scratch
        fitted = fit(entry, config)
    best, seconds = fitted.trainer.best_valid_score, fitted.seconds["training"]
    return {"valid": fitted.valid, "score": best, "training seconds": seconds}


def at_prediction(entry: Entry, config: Config) -> dict[str, Any]:
    """The validation figures with the weights of the finished run of this configuration; ``without`` are the run's.

    Raises :class:`UserError` where there is none, as :func:`bring_back`, and as the model does where the lead means
    nothing on the data.
    """
    path = finished(config, True)
    if path is None:
        asked = f"--model=CLLM4Rec --dataset={config['dataset']} --seed={config['seed']}"
        raise UserError(f"no run of the recipe is finished: train it first, python run_recbole.py {asked}")
    result = read_result(path)
    model, parts = bring_back(path, result, entry, config)
    trainer: Any = entry.trainer(config, model)
    valid = trainer.evaluate(parts.valid, load_best_model=False, show_progress=config["show_progress"])
    score = float(valid[config["valid_metric"].lower()])
    return {
        "valid": {name: float(figure) for name, figure in valid.items()},
        "score": score,
        "without": result["valid"],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Train, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leads", description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="amazon-beauty")
    parser.add_argument("--only", default=",".join(LEADS), help="leads, by commas (all)")
    parser.add_argument(
        "--seed", type=int, default=2020, help="of the training (2020); another is named, as pooled@2021"
    )
    parser.add_argument("--out", type=Path, help="(results/DATASET/leads.json)")
    args = parser.parse_args(argv)
    names = args.only.split(",")
    if unknown := [name for name in names if name not in LEADS]:
        parser.error(f"no lead is called {unknown[0]!r}; the leads: {', '.join(LEADS)}")
    out = args.out or Path("results") / args.dataset / "leads.json"
    try:
        found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    except ValueError as error:
        parser.error(f"{out} is no JSON: {error}; delete it, or give another --out")
    for name in tqdm(names, unit="lead"):
        row = name if args.seed == parser.get_default("seed") else f"{name}@{args.seed}"
        try:
            found[row] = judge(name, args.dataset, {"seed": args.seed}, found.get(row))
        except UserError as error:
            parser.error(str(error))
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    rows = [[name, lead["change"], lead["score"]] for name, lead in found.items()]
    print(tabulate(rows, ["lead", "change", "validation"], "pipe", floatfmt=("", "", ".4f")))


if __name__ == "__main__":
    main()
