"""The audit: honest runs of every family pass it, and each leak, planted where it happens in practice, is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from atomic_files import PRESPLIT, TIMED, atomic, load
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import cat_interactions
from recbole.data.utils import create_samplers
from recbole.model.general_recommender import EASE, LightGCN, MultiVAE
from recbole.trainer import Trainer
from recbole.utils import ModelType

from recbole_cllm4rec.corpus.text import Histories, Review
from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.protocol.leakage import CHECKS, Verdict, audit, report
from recbole_cllm4rec.protocol.reading import together
from recbole_cllm4rec.protocol.sequences import HoldoutSequences
from recbole_cllm4rec.protocol.subject import prepare
from recbole_cllm4rec.registry import resolve

HEADER = "user_id:token item_id:token timestamp:float review:token_seq"
SECRET = "a red lip stick that is very good"


def row(user: int, item: int, time: int) -> list[str]:
    return [f"u{user}", f"i{item}", str(time), f"so good i{item}, says u{user}: {SECRET}"]


HISTORIES = {user: [(user * 3 + k * k) % 13 for k in range(7)] for user in range(12)}
ROWS = [row(user, item, k) for user, items in HISTORIES.items() for k, item in enumerate(dict.fromkeys(items))]
ITEMS = [[f"i{item}", "a blue eye liner"] for item in range(13)]
FILES = {"inter": atomic(HEADER, *ROWS), "item": atomic("item_id:token title:token_seq", *ITEMS)}
OPTIONS = {
    **TIMED,
    "text_fields": {"inter": ["review"], "item": ["title"]},
    "eval_args.split": {"RS": [3, 1, 1]},
    "topk": [5],
    "metrics": ["Recall", "NDCG"],
    "valid_metric": "NDCG@5",
}
FAMILIES = ["CLLM4Rec", "BPR", "EASE", "LightGCN", "MultiVAE", "SASRec"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers make folders where they are."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shop(tmp_path: Path, bert: Path) -> Any:
    """Entry, configuration and data of a run of a model, with classes of its entry and options of its own."""

    def build(name: str, files: dict[str, str] = FILES, **asked: Any) -> tuple[Any, Any, Any]:
        own = {key: asked.pop(key) for key in ("model", "dataset", "trainer") if key in asked}
        entry = resolve(name)._replace(**own)
        options = {**OPTIONS, **asked}
        if "benchmark_filename" in asked:  # which are split already
            del options["eval_args.split"]
        if name == "CLLM4Rec":
            options |= {"backbone": str(bert), "max_length": 64, "token_init": "random", "precision": "float32"}
        data = load(tmp_path, files, name, **options)
        return entry, data.config, data if type(data) is entry.dataset else entry.dataset(data.config)

    return build


def failed(verdicts: list[Verdict]) -> dict[str, str]:
    return {verdict.check: verdict.detail for verdict in verdicts if not verdict.passed}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("mask", ["train", "train+valid"])
def test_an_honest_run_passes(name: str, mask: str, shop: Any) -> None:
    verdicts = audit(*shop(name, history_mask=mask))
    assert [verdict.check for verdict in verdicts] == list(CHECKS)
    assert failed(verdicts) == {}


@pytest.mark.parametrize("name", ["CLLM4Rec", "EASE", "MultiVAE", "SASRec"])
def test_an_honest_run_that_reads_what_was_validated_passes(name: str, shop: Any) -> None:
    verdicts = audit(*shop(name, history_read="train+valid"))
    assert failed(verdicts) == {}
    (given,) = (v.detail for v in verdicts if v.check == "evaluation inputs")
    if name in ("CLLM4Rec", "SASRec"):
        assert given.endswith("0 not of training, and at test of validation")


def test_the_evidence_is_counted(shop: Any) -> None:
    files = {
        "train.inter": atomic(HEADER, row(1, 1, 1), row(1, 2, 2), row(2, 2, 1), row(2, 3, 2), row(3, 5, 1)),
        "valid.inter": atomic(HEADER, row(1, 3, 3), row(2, 4, 3)),
        "test.inter": atomic(HEADER, row(1, 4, 4), row(2, 1, 4), row(3, 1, 4)),
        "item": FILES["item"],
    }
    details = {v.check: v.detail for v in audit(*shop("SASRec", files, **PRESPLIT))}
    assert details["parts"] == "train 5, valid 2, test 3 pairs; 0 in two parts"
    rows_of_two = "0 of 5 held-out pairs among 4 (user, item) of one epoch, in item_id, item_id_list"
    assert details["training inputs"] == rows_of_two
    given = "0 of 5 held-out pairs among 9 (user, item) given at valid and test, in item_id_list; 0 not of training"
    assert details["evaluation inputs"] == given  # 4 at validation, of two users, and 5 at test
    assert details["masks"] == (
        "masked at valid: 4 (user, item) of train, 0 of others, 0 missing; "
        "masked at test: 7 (user, item) of train+valid, 0 of others, 0 missing"
    )
    assert details["relabelling"].endswith("stay the same under new ids of 3 users and 5 items")


def test_documents_are_counted(shop: Any) -> None:
    files = {
        "train.inter": atomic(HEADER, row(1, 1, 1), row(1, 2, 2), row(2, 2, 1), row(3, 4, 1)),
        "valid.inter": atomic(HEADER, row(2, 3, 2)),
        "test.inter": atomic(HEADER, row(1, 3, 3)),
        "item": FILES["item"],
    }
    few = {"topk": [2], "valid_metric": "NDCG@2"}
    details = {v.check: v.detail for v in audit(*shop("CLLM4Rec", files, **PRESPLIT, **few, variant="paper"))}
    # Of 4 titles no pairs; of 4 reviews, of 3 histories and of 3 questions 4 pairs each; all of it twice.
    assert details["prompts"] == (
        "0 of 2 held-out pairs among 24 (user, item) in 2 draws of 14 documents "
        "(content, collaborative, recommendation)"
    )
    assert details["texts"] == (
        "0 of 2 held-out pairs among 4 reviews; 0 not of training; 0 of 2 held-out reviews in texts of users and items"
    )
    assert details["graphs"] == "0 of 2 held-out pairs among 8 (user, item) of corpus, histories"


def test_the_report_counts() -> None:
    verdicts = [Verdict("parts", True, "none shared"), Verdict("evaluation inputs", False, "1 of 3")]
    assert report(verdicts) == ("✓ parts              none shared\n✗ evaluation inputs  1 of 3\n1 of 2 checks passed")


# Parts and rows


def test_overlapping_parts(shop: Any) -> None:
    files = {
        "train.inter": FILES["inter"],
        "valid.inter": atomic(HEADER, row(3, 11, 8)),
        "test.inter": atomic(HEADER, row(2, 6, 8), row(4, 4, 9)),  # user 2 began with item 6
        "item": FILES["item"],
    }
    told = failed(audit(*shop("EASE", files, **PRESPLIT)))
    assert set(told) == {"parts", "training inputs", "negatives", "graphs"}
    assert told["parts"].endswith("valid 1, test 2 pairs; 1 in two parts: user u2 with item i6")


class PaddedRows(TextDataset):
    """Trains on a test interaction that is not in its training part."""

    def training_rows(self) -> TextDataset:
        rows: TextDataset = self.copy(cat_interactions([self.inter_feat, self._held_out[1].inter_feat[[0]]]))
        return rows


def test_a_held_out_pair_in_the_training_rows(shop: Any) -> None:
    told = failed(audit(*shop("BPR", dataset=PaddedRows)))
    assert set(told) == {"training inputs"}
    assert told["training inputs"].startswith("1 of 24 held-out pairs among ")


def test_a_sampler_that_spares_held_out_items(shop: Any) -> None:
    subject = prepare(*shop("BPR"))
    user, item = divmod(int(subject.held_out[0]), subject.ids.n_items)
    subject.rows._sampler.used_ids[user].add(item)
    assert not CHECKS["negatives"](subject)[0]


def test_negatives_by_the_popularity_of_all_parts(shop: Any) -> None:
    entry, config, data = shop("BPR", **{"train_neg_sample_args.distribution": "popularity"})
    subject = prepare(entry, config, data)
    assert CHECKS["negatives"](subject)[0]
    subject.rows._sampler = create_samplers(config, data, subject.parts)[0]  # RecBole's own
    told = CHECKS["negatives"](subject)
    assert told == (False, "items are drawn by their popularity in all parts, not in training")


def test_pointwise_negatives_are_no_inputs(shop: Any) -> None:
    passed, detail = CHECKS["training inputs"](prepare(*shop("NeuMF", **{"train_neg_sample_args.sample_num": 9})))
    assert passed, detail


# Sequences


class PeekingSequences(HoldoutSequences):
    """A history at test ends with what was held out for validation."""

    def build(self) -> list[Any]:
        train, valid, test = super().build()
        items, lengths = (tensor.clone() for tensor in test._histories)
        user, item = valid.inter_feat[self.uid_field][0], valid.inter_feat[self.iid_field][0]
        items[user, lengths[user]] = item
        test._histories = items, lengths + 1
        return [train, valid, test]


class ForetellingSequences(HoldoutSequences):
    """A sequence in training has a test item in it."""

    def training_rows(self) -> HoldoutSequences:
        rows = super().training_rows()
        test = self._held_out[1].inter_feat
        of_user = rows.inter_feat[self.uid_field] == test[self.uid_field][0]
        rows.inter_feat[self.iid_list_field][of_user, 0] = test[self.iid_field][0]
        return rows


@pytest.mark.parametrize(
    ("dataset", "check"), [(PeekingSequences, "evaluation inputs"), (ForetellingSequences, "training inputs")]
)
def test_a_held_out_item_in_a_sequence(dataset: type, check: str, shop: Any) -> None:
    told = failed(audit(*shop("SASRec", dataset=dataset)))
    assert set(told) == {check}
    assert told[check].startswith("1 of 24 held-out pairs")


class StockSequences(TextDataset, SequentialDataset):
    """RecBole's own order of things: rows of all histories, then the split."""


def test_augmentation_before_the_split(shop: Any) -> None:
    entry, config, _ = shop("SASRec", dataset=StockSequences, **{"eval_args.order": "TO"})
    config["MODEL_TYPE"] = ModelType.SEQUENTIAL  # as RecBole has it: a row, not a user, is a case to evaluate
    told = failed(audit(entry, config, StockSequences(config)))
    assert {"evaluation inputs", "masks"} <= set(told)
    held_out = int(told["evaluation inputs"].split(" of ")[0])
    assert held_out >= 12  # at test every user's input ends with an item that was held out for validation


# Models


def whole(part: TextDataset) -> TextDataset:
    """The training part with all that was held out of it."""
    both: TextDataset = together([part, *part._held_out])
    return both


@pytest.mark.parametrize("base", [EASE, LightGCN, MultiVAE])
def test_a_model_built_from_the_whole_data(base: type, shop: Any) -> None:
    def build(self: Any, config: Any, part: TextDataset) -> None:
        base.__init__(self, config, whole(part))  # type: ignore[misc]

    told = failed(audit(*shop(base.__name__, model=type("Omniscient", (base,), {"__init__": build}))))
    assert set(told) == {"graphs"}
    assert told["graphs"].startswith("24 of 24 held-out pairs among ")


class Scholar(CLLM4Rec):
    """Changes its corpus after it was made."""

    def __init__(self, config: Any, part: Any):
        super().__init__(config, part)
        (user, *_), (item, *_) = part._held_out[1].pairs()
        self.corpus = replace(self.corpus, **self.changes(part, int(user), int(item)))
        self.read(self.corpus.histories)


class ScoresByTests(CLLM4Rec):
    """Reads what is tested when it is to read what was validated, and the other way round."""

    def __init__(self, config: Any, part: Any):
        super().__init__(config, part)
        self.whole = Histories(*whole(part).pairs(), n_users=part.user_num)

    def read(self, histories: Histories) -> None:
        super().read(self.whole if histories.lengths.sum() > self.corpus.histories.lengths.sum() else histories)


def test_a_language_model_that_reads_what_is_tested(shop: Any) -> None:
    told = failed(audit(*shop("CLLM4Rec", model=ScoresByTests, history_read="train+valid")))
    assert "evaluation inputs" in told
    assert told["evaluation inputs"].startswith("12 of 24 held-out pairs")


class KnowsHistories(Scholar):
    def changes(self, part: Any, user: int, item: int) -> dict[str, Any]:
        return {"histories": Histories(*whole(part).pairs(), part.user_num)}


class ReadsReviews(Scholar):
    def changes(self, part: Any, user: int, item: int) -> dict[str, Any]:
        return {"reviews": [*self.corpus.reviews, Review(user, item, SECRET)]}


class ReadsProfiles(Scholar):
    def changes(self, part: Any, user: int, item: int) -> dict[str, Any]:
        profiles = [" ".join(r.text for r in part._held_out[1].corpus().reviews if r.user == u) for u in range(13)]
        return {"user_texts": profiles}


@pytest.mark.parametrize(
    ("model", "checks"),
    [
        (KnowsHistories, {"prompts", "evaluation inputs", "graphs"}),
        (ReadsReviews, {"prompts", "texts"}),
        (ReadsProfiles, {"texts"}),
    ],
)
def test_a_language_model_that_reads_what_is_held_out(model: type, checks: set[str], shop: Any) -> None:
    assert set(failed(audit(*shop("CLLM4Rec", model=model)))) == checks


# Masks


def test_a_test_item_is_masked(shop: Any) -> None:
    subject = prepare(*shop("BPR"))
    loader = subject.loaders.test
    user = int(loader.uid_list[0])
    loader.uid2history_item[user] = torch.cat([loader.uid2history_item[user], loader.uid2positive_item[user]])
    passed, detail = CHECKS["masks"](subject)
    assert not passed
    wanted = subject.example(np.sort(subject.ids.codes(user, loader.uid2positive_item[user].numpy())))
    assert f", 1 of others{wanted}, 0 missing" in detail.split("; masked at test: ")[1]


def test_training_items_are_not_masked(shop: Any) -> None:
    subject = prepare(*shop("BPR", history_mask="train"))
    loader = subject.loaders.test
    loader.uid2history_item[loader.uid_list[0]] = torch.empty(0, dtype=torch.int64)
    passed, detail = CHECKS["masks"](subject)
    assert not passed
    at_valid, at_test = detail.split("; ")
    assert ", 0 of others, 0 missing" in at_valid
    assert ", 0 of others, 5 missing: user " in at_test


def test_candidates_that_are_drawn_are_not_masked(shop: Any) -> None:
    verdicts = {v.check: v for v in audit(*shop("BPR", **{"eval_args.mode": "uni3"}))}
    assert failed(list(verdicts.values())) == {}
    assert verdicts["masks"].detail == "no masks: candidates are drawn"
    assert verdicts["ties"].detail == "not compared: no test part is ranked against all items"


# Internal ids


class PrefersHighIds(EASE):  # type: ignore[misc]
    """Adds a thousandth of its internal id to every item's score."""

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        scores = super().full_sort_predict(interaction).view(-1, self.n_items)
        return torch.as_tensor(scores + 1e-3 * torch.arange(self.n_items))


def test_scores_that_depend_on_internal_ids(shop: Any) -> None:
    told = failed(audit(*shop("EASE", model=PrefersHighIds)))
    assert set(told) == {"relabelling"}
    assert told["relabelling"].startswith("EASE: ")
    assert " becomes " in told["relabelling"]


def test_random_figures_do_not_depend_on_internal_ids(shop: Any) -> None:
    (detail,) = (v.detail for v in audit(*shop("Random")) if v.check == "relabelling" and v.passed)
    assert detail.startswith("co-occurrence counts, as Random draws random numbers: ")


def test_ties_decided_by_internal_ids(shop: Any) -> None:
    assert "ties" in failed(audit(*shop("BPR", trainer=Trainer)))
