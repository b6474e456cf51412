"""Model name -> class, dataset class, trainer class and options; RecBole's own models as the fallback."""

from collections.abc import Callable
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
    from recbole_cllm4rec.protocol.evaluation import FullSortEvaluation

    entry = _OURS[name]() if name in _OURS else _of_recbole(name)
    if issubclass(entry.trainer, FullSortEvaluation):
        return entry
    trainer = type(f"FullSort{entry.trainer.__name__}", (FullSortEvaluation, entry.trainer), {})
    return entry._replace(trainer=trainer)


# Imported when asked for: transformers and RecBole's trainers take seconds to load.
def _cllm4rec() -> Entry:
    from recbole_cllm4rec.dataset import TextDataset
    from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
    from recbole_cllm4rec.model.options import CLLM4RecOptions
    from recbole_cllm4rec.training.trainer import StagedTrainer

    return Entry(CLLM4Rec, TextDataset, StagedTrainer, CLLM4RecOptions)


def _text_ease() -> Entry:
    from recbole.trainer import TraditionalTrainer

    from recbole_cllm4rec.baselines.text_ease import TextEASE, TextEASEOptions
    from recbole_cllm4rec.dataset import TextDataset

    return Entry(TextEASE, TextDataset, TraditionalTrainer, TextEASEOptions)


def _s3rec() -> Entry:
    from recbole.model.sequential_recommender import S3Rec

    from recbole_cllm4rec.baselines.s3rec import AttributeSequences, TwoStageS3RecTrainer

    return Entry(S3Rec, AttributeSequences, TwoStageS3RecTrainer, None)


def _direct_bert4rec() -> Entry:
    from recbole.trainer import Trainer

    from recbole_cllm4rec.baselines.direct import DirectBERT4Rec, DirectOptions
    from recbole_cllm4rec.protocol.sequences import UserSequences

    return Entry(DirectBERT4Rec, UserSequences, Trainer, DirectOptions)


def _direct_s3rec() -> Entry:
    from recbole_cllm4rec.baselines.direct import DirectOptions, DirectS3Rec
    from recbole_cllm4rec.baselines.s3rec import TwoStageS3RecTrainer, UserAttributeSequences

    return Entry(DirectS3Rec, UserAttributeSequences, TwoStageS3RecTrainer, DirectOptions)


_OURS: dict[str, Callable[[], Entry]] = {
    "CLLM4Rec": _cllm4rec,
    "DirectBERT4Rec": _direct_bert4rec,
    "DirectS3Rec": _direct_s3rec,
    "S3Rec": _s3rec,
    "TextEASE": _text_ease,
}


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
