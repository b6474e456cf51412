"""RecBole datasets whose atomic files are read as they are, and which carry the text of users, items and pairs."""

from collections.abc import Collection, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recbole.data.dataset import Dataset
from recbole.utils import FeatureSource, FeatureType, ModelType

from dataset_prep import registry
from recbole_cllm4rec.atomic import check_ids, line_of, read_atomic, to_floats
from recbole_cllm4rec.config_layers import properties_dir
from recbole_cllm4rec.corpus.raw_texts import RawTexts, Wanted
from recbole_cllm4rec.corpus.text import Corpus, Histories, IntArray, Review
from recbole_cllm4rec.dataset_check import check_files, check_loaded, check_settings
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.pairs import Ids, among, of_part
from recbole_cllm4rec.protocol.sources import digest

SOURCES = ("user", "item", "inter")


class TextDataset(Dataset):
    """Reads atomic files without quoting or guessing at missing values, and keeps the text out of RecBole's tensors.

    The columns that ``text_fields`` names become one string a row, joined by ``text_template`` or by a full stop; they
    stay plain Python strings, found by raw ids until the filters have run and by internal ids after. ``files``: sha256
    of what was read, by name.
    """

    def _get_preset(self) -> None:
        super()._get_preset()
        self._texts = RawTexts()
        self._held_out: tuple[TextDataset, ...] = ()
        self.files: dict[str, str] = {}
        parts = self.benchmark_filename_list
        if parts is not None and len(parts) != 3:
            raise UserError(f"benchmark_filename takes three names, of training, validation and test, not {parts}")

    def _from_scratch(self) -> None:
        try:
            super()._from_scratch()
        except ValueError as error:  # a file that is missing, a filter that leaves nothing
            raise UserError(f"dataset {self.dataset_name!r}: {error}") from error

    def _load_data(self, token: str, dataset_path: str) -> None:
        if not Path(dataset_path).exists() and not self.config["download"]:
            raise UserError(_how_to_get(token, dataset_path))
        if Path(dataset_path).exists():
            check_files(Path(dataset_path), token, self.benchmark_filename_list)
        super()._load_data(token, dataset_path)
        feats = {source: getattr(self, f"{source}_feat") for source in SOURCES}
        check_settings(
            self.config, self.field2type, {name: list(feat) for name, feat in feats.items() if feat is not None}
        )
        for source in ("user", "item"):  # without interactions, RecBole itself stops
            if self.config["text_fields"].get(source) and not Path(dataset_path, f"{token}.{source}").is_file():
                raise UserError(
                    f"text_fields names columns of '{source}', but {dataset_path} has no {token}.{source} file: "
                    f"add the file or take the entry out of text_fields{_perhaps_of(token)}"
                )

    def _load_feat(self, filepath: str, source: FeatureSource | str) -> pd.DataFrame | None:
        """As RecBole's, from a file read by :func:`read_atomic`."""
        frame = read_atomic(Path(filepath), self.config["field_separator"], self.config["encoding"])
        self.files[Path(filepath).name] = digest(Path(filepath))
        name = source.value if isinstance(source, FeatureSource) else source
        if name in SOURCES:
            self._keep_text(frame, name, filepath)
        load, unload = self._get_load_and_unload_col(source)
        if name == "inter" and load is not None:
            self._check_ids(load, frame, filepath)
        if load == set():
            return None
        if load is not None:
            later: tuple[str, ...] = (
                (self.uid_field, self.iid_field) if name == "inter" else ()
            )  # _check_ids says more of these
            if self.config["MODEL_TYPE"] == ModelType.KNOWLEDGE:  # RecBole names them for these, there or not
                later += (self.config["RATING_FIELD"], self.time_field)
            wanted = [field for field in self.config["load_col"].get(name, ()) if field not in later]
            check_loaded(filepath, wanted, [str(header).split(":")[0] for header in frame])
        kept: dict[str, pd.Series] = {}
        for header in frame:
            field, type_name = str(header).split(":")
            if (load is not None and field not in load) or (unload is not None and field in unload):
                continue
            kind = FeatureType(type_name)
            if name != "link":
                self._check_type(field, kind, filepath)
                self.field2source[field], self.field2type[field] = source, kind
                if kind in (FeatureType.FLOAT, FeatureType.FLOAT_SEQ):
                    self.field2bucketnum[field] = 2
            kept[field] = self._parse(frame[header], field, kind, filepath)
        if name == "inter":
            self._check_ids(kept, frame, filepath)
        if kept and frame.empty and (name != "inter" or self.benchmark_filename_list is None):
            raise UserError(f"{filepath} has a header and no row: nothing to load from it")
        return pd.DataFrame(kept) if kept else None

    def _check_type(self, field: str, kind: FeatureType, filepath: str) -> None:
        """Raise :class:`UserError` for an id that is no token, a time that is no number, two types of one column."""
        needed = {
            self.uid_field: FeatureType.TOKEN,
            self.iid_field: FeatureType.TOKEN,
            self.time_field: FeatureType.FLOAT,
        }
        wanted = needed.get(field, self.field2type.get(field, kind))
        if kind is not wanted:
            why = "as it is an id or the TIME_FIELD" if field in needed else "as in another file"
            raise UserError(f"{filepath}, line 1: {field}:{kind.value} has to be {field}:{wanted.value}, {why}")

    def _parse(self, column: pd.Series, field: str, kind: FeatureType, filepath: str) -> pd.Series:
        """A column of strings as RecBole wants its type: tokens, floats, or arrays of either."""
        if kind is FeatureType.TOKEN:
            self.field2seqlen[field] = 1
            if field in (self.uid_field, self.iid_field) and (column == "").any():
                raise UserError(f"{filepath}, line {line_of(column == '')}: the {field} is empty; every row needs one")
            if field in (self.uid_field, self.iid_field):
                check_ids(column, field, filepath)
            return column.where(column != "")  # an empty cell is RecBole's [PAD]
        if kind is FeatureType.FLOAT:
            self.field2seqlen[field] = 1
            numbers = to_floats(column, field, filepath)
            if field == self.time_field and numbers.isna().any():  # RecBole puts the mean of all times there
                raise UserError(
                    f"{filepath}, line {line_of(numbers.isna())}: the {field} is empty; every row needs one, or leave "
                    "it out of load_col"
                )
            return numbers
        parts = [[part for part in text.split(self.config["seq_separator"]) if part] for text in column]
        longest = max(map(len, parts), default=0)
        length = min((self.config["seq_len"] or {}).get(field, longest), longest)
        self.field2seqlen[field] = length
        if kind is FeatureType.FLOAT_SEQ:
            to_floats(pd.Series(parts, dtype=object).explode().fillna(""), field, filepath)  # to name what is no number
        dtype: type = str if kind is FeatureType.TOKEN_SEQ else float
        return pd.Series([np.array(p[:length], dtype=dtype) for p in parts], index=column.index)

    def _check_ids(self, loaded: Collection[str], frame: pd.DataFrame, filepath: str) -> None:
        for option, field in (("USER_ID_FIELD", self.uid_field), ("ITEM_ID_FIELD", self.iid_field)):
            if field not in loaded:
                raise UserError(
                    f"{filepath}: {field!r} ({option}) has to be a column, and among those of load_col; the file has "
                    f"{', '.join(map(str, frame))}"
                )

    def _keep_text(self, frame: pd.DataFrame, source: str, filepath: str) -> None:
        fields: Sequence[str] = self.config["text_fields"].get(source) or []
        if fields:
            keys = {"user": [self.uid_field], "item": [self.iid_field], "inter": [self.uid_field, self.iid_field]}
            template = (self.config["text_template"] or {}).get(source)
            wanted = Wanted(source, keys[source], fields, template, self.config["text_escaped"])
            self._texts.keep(frame, wanted, filepath)

    def _change_feat_format(self) -> None:
        self._rank_times()
        super()._change_feat_format()

    def _rank_times(self) -> None:
        """Times become their ranks: RecBole keeps them in float32, in which unix seconds tie within two minutes."""
        if self.time_field in self.inter_feat:
            self.inter_feat[self.time_field] = self.inter_feat[self.time_field].rank(method="dense")

    def _filter_inter_by_user_or_item(self) -> None:
        """As RecBole's, which says nothing of the interactions that go because their user or item has no row."""
        before = len(self.inter_feat)
        super()._filter_inter_by_user_or_item()
        if gone := before - len(self.inter_feat):
            self.logger.warning(
                f"{gone} of {before} interactions go, as their user or item has no row of its own in a file that "
                "load_col loads; filter_inter_by_user_or_item: False keeps them"
            )

    def _reset_index(self) -> None:
        for name in self.feat_name_list:
            if getattr(self, name).empty:
                raise UserError(
                    f"dataset {self.dataset_name!r}: filters leave no row of {name.removesuffix('_feat')}: loosen "
                    "user_inter_num_interval, item_inter_num_interval or val_interval; interactions whose user or item "
                    "has no row of its own go too, unless filter_inter_by_user_or_item is False"
                )
        super()._reset_index()

    def lacks_time(self) -> UserError:
        """The error of a model, an order or a split that needs times."""
        return UserError(
            f"dataset {self.dataset_name!r}: {self.time_field!r} (TIME_FIELD) is not among the columns that load_col "
            "loads, but this model or eval_args needs it"
        )

    def training_rows(self) -> "TextDataset":
        """What a data loader for training iterates over."""
        return self

    def build(self) -> list[Dataset]:
        """The three parts, apart from each other."""
        by_time = self.benchmark_filename_list is None and self.config["eval_args"]["order"] == "TO"
        if by_time and self.time_field not in self.inter_feat:
            raise self.lacks_time()
        return self._apart(super().build())

    def _apart(self, parts: list[Any]) -> list[Any]:
        """``parts``, of which the training part knows the others, so that no text of theirs is read in training."""
        parts[0]._held_out = tuple(parts[1:])
        if not self.config["repeatable"]:
            self._check_apart(parts)
        return parts

    def _check_apart(self, parts: Sequence[Any]) -> None:
        """Of pairs in two parts what is held out is trained on: raise :class:`UserError`, or of files that somebody has
        split so say it.
        """
        codes = [of_part(part, self._ids()) for part in parts]
        found, times = np.unique(np.concatenate(codes), return_counts=True)
        if not len(again := found[times > 1]):
            return
        user, item = divmod(int(again[0]), self.item_num)
        what = (
            f"dataset {self.dataset_name!r}: {len(again):,} pairs are in two parts of the split, for instance user "
            f"{self.id2token(self.uid_field, user)} with item {self.id2token(self.iid_field, item)}"
        )
        if self.benchmark_filename_list is not None:
            self.logger.warning(f"{what}: what is held out of them is trained on")
            return
        raise UserError(
            f"{what}: take an interaction for one, --rm_dup_inter=first, or rank again what a user has had, "
            "--repeatable=True"
        )

    def corpus(self) -> Corpus:
        """What a language model may read in training: the interactions of this part and the texts that go with them."""
        return Corpus(
            self.user_num,
            self.item_num,
            self.histories(),
            self._texts_by_id("user", self.uid_field, self.user_num),
            self._texts_by_id("item", self.iid_field, self.item_num),
            self._reviews(),
        )

    def histories(self) -> Histories:
        """The items of every user in this part, in the order of its rows."""
        users, items = self.pairs()
        return Histories(users, items, self.user_num)

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Internal ids of the users and items of this part's interactions, two arrays [P]."""
        return self.inter_feat[self.uid_field].numpy(), self.inter_feat[self.iid_field].numpy()

    def _ids(self) -> Ids:
        return Ids(self.uid_field, self.iid_field, self.user_num, self.item_num)

    def _texts_by_id(self, source: str, field: str, n: int) -> list[str]:
        ids, rows = self.field2token_id[field], self._texts.rows(source)
        texts = self._texts.by_id(source, ids, n)
        if rows:
            self.logger.info(f"{sum(map(bool, texts)):,} of {n - 1:,} {source}s have a text")
            if not any(token in ids for (token,), _ in rows):
                self.logger.warning(
                    f"no row of text_fields[{source}], of {len(rows):,}, is of a {source} with an interaction: ids "
                    f"differ, {rows[0][0][0]!r} there and {self.id2token(field, 1)!r} in interactions"
                )
        return texts

    def _reviews(self) -> list[Review]:
        """Texts of the pairs of this part; a pair that a held-out part has too may be that part's, and is left out."""
        written = self._texts.reviews(self.field2token_id[self.uid_field], self.field2token_id[self.iid_field])
        if not written:
            return []
        codes = np.array([review.user * self.item_num + review.item for review in written])
        allowed = among(codes, of_part(self, self._ids()))
        for part in self._held_out:
            allowed &= ~among(codes, of_part(part, self._ids()))
        return list(compress(written, allowed))


def _perhaps_of(dataset: str) -> str:
    """Where an entry may stand that the user has not written."""
    path = properties_dir() / "dataset" / f"{dataset}.yaml"
    return f", or, as properties has a {path.name}, give the dataset another name" if path.is_file() else ""


def _how_to_get(dataset: str, path: str) -> str:
    public = registry.command(dataset, path)
    first = f"make it of public files with `{public}`, " if public else ""
    return (
        f"dataset {dataset!r} is not in {path}: {first}convert raw files with `python -m dataset_prep SOURCE ... --out "
        f"{path}` (sources: `python -m dataset_prep --help`), put atomic files there, or add --download to fetch "
        "RecBole's own copy, if it has one"
    )
