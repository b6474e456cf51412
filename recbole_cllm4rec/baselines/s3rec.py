"""S3Rec in one run: RecBole's two stages one after the other, on attributes that the dataset's yaml names."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.model.loss import BPRLoss
from recbole.trainer import S3RecTrainer
from recbole.utils import FeatureSource, FeatureType
from torch import nn

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.sequences import HoldoutSequences, UserSequences

_CATEGORIES = (FeatureType.TOKEN, FeatureType.TOKEN_SEQ)


class AttributeSequences(HoldoutSequences):
    """Loads the item column that ``item_attribute`` names, whether or not ``load_col`` has it.

    Interactions and items stay those of a model without attributes, so that the split and the ranking are the same.
    """

    item_feat: Any

    def _get_load_and_unload_col(self, source: FeatureSource) -> tuple[set[str] | None, set[str] | None]:
        load, unload = super()._get_load_and_unload_col(source)
        if source is FeatureSource.ITEM and load is not None:
            load = load | {self.iid_field, self.config["item_attribute"]}
        return load, unload

    def _filter_inter_by_user_or_item(self) -> None:
        items = self.item_feat
        if self._attributes_alone():
            self.item_feat = None  # an item that the file lacks has no attributes, but it stays
        super()._filter_inter_by_user_or_item()
        self.item_feat = items

    def _remap_ID_all(self) -> None:  # noqa: N802, the name is RecBole's
        if self._attributes_alone() and self.item_feat is not None:
            seen = self.item_feat[self.iid_field].isin(self.inter_feat[self.iid_field])
            self.item_feat = self.item_feat[seen].reset_index(drop=True)  # an item that only the file has gets no id
        super()._remap_ID_all()

    def _attributes_alone(self) -> bool:
        """Whether other models, by ``load_col``, read nothing of the items."""
        load_col = self.config["load_col"]
        return load_col is not None and "item" not in load_col

    def build(self) -> list[Any]:
        """As :class:`HoldoutSequences`. Raises :class:`UserError` where there are no attributes."""
        attribute = self.config["item_attribute"]
        if self.field2type.get(attribute) not in _CATEGORIES or self.num(attribute) < 2:  # [PAD] is one
            raise UserError(
                f"dataset {self.dataset_name!r}: item_attribute is {attribute!r}, but {self._item_columns()}: name a "
                f"column of categories as item_attribute under for_model: {self.config['model']} in the dataset's yaml"
            )
        return super().build()

    def get_item_feature(self) -> Interaction:
        """As RecBole's, but with a column of one category an item as lists of one, which may be empty: of a plain one
        S3Rec takes an item without a category for one of the last.
        """
        features, attribute = super().get_item_feature(), self.config["item_attribute"]
        column = features[attribute]
        return Interaction({**features.interaction, attribute: column.reshape(len(column), -1)})

    def _item_columns(self) -> str:
        """What could have been named, in words."""
        path = Path(self.dataset_path, f"{self.dataset_name}.item")
        if not path.is_file():
            return f"there is no {path.name}"
        with path.open(encoding=self.config["encoding"]) as file:
            columns = file.readline().rstrip("\r\n").split(self.config["field_separator"])
        return f"the columns of {path.name} are {', '.join(columns)}"


class UserAttributeSequences(UserSequences, AttributeSequences):
    """Attributes of items, and a row a user in training."""


class TwoStageS3RecTrainer(S3RecTrainer):
    """RecBole's trainer, first for S3Rec's pretraining, then for its finetuning, which starts from those weights.

    Pretraining reads every user's training history once an epoch; RecBole's own rows are all prefixes of it. With
    ``train_stage: finetune`` the weights are those of ``pre_model_path``, and the first stage is left out.
    ``timings`` holds the seconds of each stage.
    """

    def __init__(self, config: Any, model: Any):
        super().__init__(config, model)
        self.save_step = self.pretrain_epochs + 1  # the weights stay in memory
        self.timings: dict[str, float] = {}

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """Both stages; the best validation score and result of the second."""
        if self.model.train_stage == "pretrain":
            start = perf_counter()
            super().fit(self._histories(train_data), verbose=verbose, show_progress=show_progress)
            self.timings["pretraining"] = perf_counter() - start
            self._turn_to_finetuning()
        start = perf_counter()
        best: tuple[float, dict[str, float] | None] = super().fit(
            train_data, valid_data, verbose, saved, show_progress, callback_fn
        )
        self.timings["finetuning"] = perf_counter() - start
        return best

    def _histories(self, train_data: Any) -> TrainDataLoader:
        """A row a user of the training part."""
        rows = train_data._dataset.part.user_rows()
        return TrainDataLoader(self.config, rows, train_data._sampler, shuffle=self.config["shuffle"])

    def _turn_to_finetuning(self) -> None:
        """What ``S3Rec.__init__`` and a new trainer do for that stage."""
        self.model.train_stage = "finetune"
        self.model.loss_fct = BPRLoss() if self.model.loss_type == "BPR" else nn.CrossEntropyLoss()
        self.optimizer = self._build_optimizer()
        self.train_loss_dict.clear()
        self.logger.info("pretraining took %.1f s, finetuning follows", self.timings["pretraining"])
