"""Train, valid and test parts of one dataset, the same for every model, and their fingerprints."""

import hashlib
from dataclasses import dataclass
from logging import getLogger
from typing import Any

from recbole.data.dataloader import FullSortEvalDataLoader, KnowledgeBasedDataLoader, NegSampleEvalDataLoader
from recbole.data.utils import create_samplers, get_dataloader
from recbole.sampler import KGSampler, Sampler
from recbole.utils import EvaluatorType, ModelType, init_seed
from torch.utils.data import DataLoader

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.evaluation import CandidateLoader, FullSortLoader
from recbole_cllm4rec.refusals import of_recbole


@dataclass(frozen=True)
class Split:
    """RecBole's data loaders of the three parts; ``valid`` and ``test`` are None where that part is empty.

    ``fingerprints``: of each part, its number of pairs and a hash of them. ``parts``: their three datasets. ``files``:
    sha256 of the atomic files, by name.
    """

    train: Any
    valid: Any
    test: Any
    fingerprints: dict[str, str]
    parts: list[Any]

    @property
    def files(self) -> dict[str, str]:
        found: dict[str, str] = self.parts[0].files
        return found


@of_recbole("these options for these data")
def split(config: Any, dataset: Any) -> Split:
    """RecBole's ``data_preparation``, seeded by ``split_seed`` right before the split.

    Raises :class:`UserError` where no interaction is left to train on, and where there are too few items to rank.
    """
    init_seed(config["split_seed"], config["reproducibility"])  # the split draws from torch's global generator
    parts = dataset.build()
    if not len(parts[0]):
        raise UserError(
            f"dataset {config['dataset']!r}: no interaction is left to train on; loosen filters or eval_args"
        )
    if config["eval_type"] == EvaluatorType.RANKING and max(config["topk"]) >= dataset.item_num:
        raise UserError(
            f"topk ranks {max(config['topk'])} items, but dataset {config['dataset']!r} has {dataset.item_num - 1}: "
            "set topk, metrics and valid_metric, as --topk=[5,10] --metrics=[Recall,NDCG] --valid_metric=NDCG@10"
        )
    samplers = _samplers(config, dataset, parts)
    loaders = [_train_loader(config, dataset, parts[0].training_rows(), samplers[0])]
    for phase, part, sampler in zip(("valid", "test"), parts[1:], samplers[1:], strict=True):
        loaders.append(_loader(config, phase)(config, part, sampler, shuffle=False) if len(part) else None)
    names = ("train", "valid", "test")
    for loader in loaders:
        _load_here(config, loader)
    train, valid, test = loaders
    return Split(train, valid, test, {name: fingerprint(part) for name, part in zip(names, parts, strict=True)}, parts)


def fingerprint(part: Any) -> str:
    """``pairs:hash``, sha256 over a part's sorted raw (user, item) ids: two runs prove by it that they share it."""
    users = part.id2token(part.uid_field, part.inter_feat[part.uid_field].numpy())
    items = part.id2token(part.iid_field, part.inter_feat[part.iid_field].numpy())
    pairs = sorted(f"{user}\t{item}" for user, item in zip(users, items, strict=True))
    return f"{len(pairs)}:{hashlib.sha256(chr(10).join(pairs).encode()).hexdigest()[:16]}"


def history_masked(config: Any, part: str) -> str:
    """Of the items of a user, those that a full ranking of ``valid`` or ``test`` leaves out; ``repeatable`` asks again
    for what was had.
    """
    if config["repeatable"]:
        return "nothing"
    return str(config["history_mask"]) if part == "test" else "train"


class _Masks(Sampler):
    """Which items a full ranking leaves out. Nothing is drawn from it, so that a user may have every item."""

    def get_used_ids(self) -> Any:
        """As RecBole's, which stops at a user who leaves no item to draw."""
        self.item_num += 1
        try:
            return super().get_used_ids()
        finally:
            self.item_num -= 1


def _samplers(config: Any, dataset: Any, parts: Any) -> list[Any]:
    if _draws_nothing(config):
        masks = _Masks(["train", "valid", "test"], parts)
        of_test = _Masks(["train"], parts[:1]).set_phase("train") if config["history_mask"] == "train" else None
        return [None, masks.set_phase("valid"), of_test or masks.set_phase("test")]
    try:
        samplers = list(create_samplers(config, dataset, parts))
    except ValueError as error:  # a user who has every item leaves none to sample
        raise UserError(f"dataset {config['dataset']!r}: {error}") from None
    negatives = config["train_neg_sample_args"]
    if negatives.get("distribution") == "popularity" and not config["repeatable"]:  # RecBole's is that of all parts
        samplers[0] = Sampler(["train"], parts[:1], "popularity", negatives["alpha"]).set_phase("train")
    if history_masked(config, "test") == "train" and config["eval_args"]["mode"]["test"] == "full":
        samplers[2] = Sampler(["train"], parts[:1]).set_phase("train")  # its used items are what is masked
    return samplers


def _draws_nothing(config: Any) -> bool:
    """Whether no negative item is sampled, neither in training nor in evaluation."""
    modes = set(config["eval_args"]["mode"].values())
    return config["train_neg_sample_args"]["distribution"] == "none" and modes == {"full"} and not config["repeatable"]


def _loader(config: Any, phase: str) -> Any:
    loader = get_dataloader(config, phase)
    ours = {FullSortEvalDataLoader: FullSortLoader, NegSampleEvalDataLoader: CandidateLoader}
    return ours.get(loader, loader)


def _load_here(config: Any, loader: Any) -> None:
    """Batches that draw at random are made in this process: in ``worker`` others, results would go by their number."""
    if isinstance(loader, KnowledgeBasedDataLoader):
        _load_here(config, loader.general_dataloader)
        _load_here(config, loader.kg_dataloader)
    elif isinstance(loader, DataLoader) and loader.num_workers and not isinstance(loader, FullSortLoader):
        loader.num_workers = 0
        getLogger().info("worker is %s: used in full rankings, not where batches draw at random", config["worker"])


def _train_loader(config: Any, dataset: Any, part: Any, sampler: Any) -> Any:
    loader = get_dataloader(config, "train")
    if config["MODEL_TYPE"] != ModelType.KNOWLEDGE:
        return loader(config, part, sampler, shuffle=config["shuffle"])
    negatives = config["train_neg_sample_args"]
    entities = KGSampler(dataset, negatives["distribution"], negatives["alpha"])
    return loader(config, part, sampler, entities, shuffle=True)
