"""Model name -> class, dataset class, trainer class and options; RecBole's own models as the fallback."""

from typing import Any, NamedTuple

from recbole_cllm4rec import compat
from recbole_cllm4rec.errors import UserError, suggestion


class Entry(NamedTuple):
    """Everything that is chosen by a model's name."""

    model: type
    dataset: type
    trainer: type
    options: type | None


def resolve(name: str) -> Entry:
    """The entry of the model ``name``, ours first. Raises :class:`UserError` for a name that nobody has."""
    compat.apply()
    return _cllm4rec() if name == "CLLM4Rec" else _of_recbole(name)


def _cllm4rec() -> Entry:
    from recbole_cllm4rec.dataset import TextDataset
    from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
    from recbole_cllm4rec.model.options import CLLM4RecOptions
    from recbole_cllm4rec.training.trainer import StagedTrainer

    return Entry(CLLM4Rec, TextDataset, StagedTrainer, CLLM4RecOptions)


def _of_recbole(name: str) -> Entry:
    from recbole.utils import ModelType, get_trainer

    from recbole_cllm4rec.config import model_class, model_names

    legal = model_names()
    if name not in legal:
        near = suggestion(name, legal) or f"; the models: {', '.join(legal)}"
        raise UserError(f"no model is called {name!r}{near}")
    model = model_class(name)
    return Entry(model, _dataset(name, model.type, ModelType), get_trainer(model.type, name), None)


def _dataset(name: str, kind: Any, kinds: Any) -> type:
    """The dataset class that RecBole would take for a model, reading its files as :class:`TextDataset` does."""
    import recbole.data.dataset as stock

    from recbole_cllm4rec.dataset import TextDataset
    from recbole_cllm4rec.protocol.sequences import HoldoutSequences

    by_kind = {
        kinds.SEQUENTIAL: stock.SequentialDataset,
        kinds.KNOWLEDGE: stock.KnowledgeBasedDataset,
        kinds.DECISIONTREE: stock.DecisionTreeDataset,
    }
    base = getattr(stock, f"{name}Dataset", by_kind.get(kind, stock.Dataset))
    reader = HoldoutSequences if issubclass(base, stock.SequentialDataset) else TextDataset
    return reader if issubclass(reader, base) else type(f"Text{base.__name__}", (reader, base), {})
