"""Sequential models on the general models' split: the split comes first, sequences are made of what it allows."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.reading import at_test


class HoldoutSequences(TextDataset, SequentialDataset):
    """Splits as a general dataset does. Training rows are prefixes of the training part, and at validation and test a
    user is one row whose sequence is that same training history, oldest item first; at test with the validated items
    if ``history_read`` says so.

    RecBole's own sequential datasets augment before they split, so that a row's input may hold other test items.
    """

    _histories: tuple[Tensor, Tensor] | None = None  # items [n_users, L] and lengths [n_users], where a row is a user
    part: "HoldoutSequences | None" = None
    """The training part that rows for training are made of."""

    @property
    def iid_list_field(self) -> str:
        """Field of the item sequences."""
        return f"{self.iid_field}{self.config['LIST_SUFFIX']}"

    def _change_feat_format(self) -> None:
        self._rank_times()
        Dataset._change_feat_format(self)

    def _benchmark_presets(self) -> None:
        """Pre-split files hold plain interactions: their sequences too are made after the split."""

    def build(self) -> list[Any]:
        """The three parts; held-out ones know the histories that are read."""
        if self.time_field not in self.inter_feat:
            raise self.lacks_time()
        train, valid, test = self._apart(Dataset.build(self))
        train._aug_presets()
        valid._histories = train._last_items()
        test._histories = at_test(self.config, [train, valid])._last_items()
        return [train, valid, test]

    def training_rows(self) -> "HoldoutSequences":
        """A row for every training item but each user's first, with the items before it.

        Raises :class:`UserError` where that is no row at all.
        """
        if len(self) == len(self.inter_feat[self.uid_field].unique()):
            raise UserError(
                f"dataset {self.dataset_name!r}: no user has two training interactions, so there is no sequence to "
                "learn; loosen filters or eval_args"
            )
        rows = self.copy(self.inter_feat[torch.arange(len(self.inter_feat))])
        rows.data_augmentation()
        rows.part = self
        return rows

    def user_rows(self) -> "HoldoutSequences":
        """A row for every user of this part, whose sequence is the history, oldest item first."""
        _, first = np.unique(self.inter_feat[self.uid_field].numpy(), return_index=True)
        rows = self.copy(self.inter_feat[first])
        rows._histories, rows.part = self._last_items(), self
        return rows

    def counter(self, field: str) -> Counter[int]:
        """Occurrences of each id, for metrics of popularity: rows for training count as the part they are made of."""
        counts: Counter[int] = super().counter(field) if self.part is None else self.part.counter(field)
        return counts

    def join(self, df: Interaction) -> Interaction:
        """Users with their sequences, beside what RecBole joins."""
        df = super().join(df)
        if self._histories is not None and self.uid_field in df:
            items, lengths = self._histories
            users = df[self.uid_field]
            df.update(Interaction({self.iid_list_field: items[users], self.item_list_length_field: lengths[users]}))
        return df

    def _last_items(self) -> tuple[Tensor, Tensor]:
        """Every user's latest items, padded at the right, and how many they are."""
        feat = self.inter_feat[torch.arange(len(self.inter_feat))]
        feat.sort(by=[self.uid_field, self.time_field])
        items = torch.zeros(self.user_num, self.max_item_list_len, dtype=torch.int64)
        lengths = torch.ones(self.user_num, dtype=torch.int64)  # a user without history is one [PAD], never nothing
        users, counts = feat[self.uid_field].unique_consecutive(return_counts=True)
        for user, history in zip(users.tolist(), feat[self.iid_field].split(counts.tolist()), strict=True):
            latest = history[-self.max_item_list_len :]
            items[user, : len(latest)], lengths[user] = latest, len(latest)
        return items, lengths


class UserSequences(HoldoutSequences):
    """As :class:`HoldoutSequences`, but in training too a user is one row."""

    def training_rows(self) -> HoldoutSequences:
        """A row a user: see :meth:`user_rows`."""
        return self.user_rows()
