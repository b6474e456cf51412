"""A finished run, brought back: its model with the weights of the best epoch, and the data that it was split from."""

from pathlib import Path
from typing import Any, NamedTuple

from recbole.utils import init_seed

from recbole_cllm4rec.building import build_model
from recbole_cllm4rec.checkpoint.pinned import check_facts, check_same, pinned
from recbole_cllm4rec.checkpoint.weights import load_weights
from recbole_cllm4rec.compat import load_checkpoint
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.sources import changed
from recbole_cllm4rec.protocol.split import Split, split
from recbole_cllm4rec.registry import Entry


class Trained(NamedTuple):
    """A model with the weights of its run, and the data that it was split from."""

    model: Any
    parts: Split

    @property
    def train(self) -> Any:
        """The training part."""
        return self.parts.parts[0]


def bring_back(run: Path, result: dict[str, Any], entry: Entry, config: Config) -> Trained:
    """The model of ``run``, the file of ``result``, as its training left it, in evaluation mode.

    ``entry`` and ``config`` are those of the run; the model's class may be another of the same weights. Raises
    :class:`UserError` where the weights are not there or not of this model, and where the data has another split or
    other files, or the frozen backbone another hash.
    """
    weights, backbone = result.get("weights"), result.get("backbone")
    if not isinstance(weights, str) or not weights:
        raise UserError(f"{run} does not say where its weights are: repeat the run")
    if not Path(weights).is_file():
        raise UserError(f"{weights}, the weights of {run}, is not there: go to its folder, or repeat the run")
    check_facts(f"{run}: backbone", backbone)
    parts = split(config, entry.dataset(config))
    if parts.fingerprints != result["split"]:
        raise UserError(
            f"dataset {result['dataset']!r} is not what {run} was trained on (its split is another): repeat the run"
        )
    if name := changed(result.get("files", parts.files), parts.files):
        raise UserError(
            f"dataset {result['dataset']!r} is not what {run} was trained on ({name} is another): repeat the run"
        )
    init_seed(config["seed"], config["reproducibility"])
    model: Any = build_model(entry, pinned(config, backbone), parts)
    if backbone is not None:
        check_same(run, backbone, model.backbone.fingerprint(), "repeat the run")
    _fill(model, Path(weights), config["device"])
    model.eval()
    return Trained(model, parts)


def _fill(model: Any, weights: Path, device: Any) -> None:
    try:
        if weights.suffix == ".safetensors":
            load_weights(weights, model)
            return
        checkpoint = load_checkpoint(weights, map_location=device)
        model.load_state_dict(checkpoint["state_dict"])
        model.load_other_parameter(checkpoint.get("other_parameter"))
    except UserError:
        raise
    except Exception as error:  # damaged pickles raise whatever the names and numbers in them happen to lead to
        raise UserError(
            f"{weights} does not hold the weights of the run: it is damaged, or of another model; repeat the run"
        ) from error
