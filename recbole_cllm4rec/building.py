"""The model and the trainer of a run; what RecBole or a tracker refuses of them is one line."""

from typing import Any

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.split import Split
from recbole_cllm4rec.refusals import of_recbole
from recbole_cllm4rec.registry import Entry


def build_model(entry: Entry, config: Any, parts: Split) -> Any:
    """The model of ``entry``, which reads the training part. Raises :class:`UserError` as :func:`of_recbole`."""
    with of_recbole(f"to build {config['model']} with these options"):
        return entry.model(config, parts.train._dataset).to(config["device"])


def build_trainer(entry: Entry, config: Any, model: Any) -> Any:
    """The trainer of ``entry``. Raises :class:`UserError` where RecBole's hook to a tracker misses its package."""
    try:
        return entry.trainer(config, model)
    except ImportError as error:
        raise UserError(str(error)) from None
