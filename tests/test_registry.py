"""Every name resolves to classes that fit each other, and reads its files through the plugin."""

import sys
from pathlib import Path

import pytest
from atomic_files import BY_TIME, atomic, load, pairs, split_up
from recbole import trainer
from recbole.data import dataset as stock
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import get_model

from recbole_cllm4rec.baselines.s3rec import AttributeSequences, TwoStageS3RecTrainer
from recbole_cllm4rec.config import model_names
from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.model.options import CLLM4RecOptions
from recbole_cllm4rec.protocol.evaluation import FullSortEvaluation
from recbole_cllm4rec.protocol.sequences import HoldoutSequences
from recbole_cllm4rec.registry import Entry, resolve
from recbole_cllm4rec.training.trainer import StagedTrainer

FOREIGN = {"lightgbm", "xgboost"}  # models of packages that are not RecBole's to install


def test_cllm4rec() -> None:
    assert resolve("CLLM4Rec") == Entry(CLLM4Rec, TextDataset, StagedTrainer, CLLM4RecOptions)


@pytest.mark.parametrize(
    ("name", "base", "reader", "trained_by"),
    [
        ("Pop", stock.Dataset, TextDataset, trainer.TraditionalTrainer),
        ("EASE", stock.Dataset, TextDataset, trainer.TraditionalTrainer),
        ("BPR", stock.Dataset, TextDataset, trainer.Trainer),
        ("MultiVAE", stock.Dataset, TextDataset, trainer.Trainer),
        ("RaCT", stock.Dataset, TextDataset, trainer.RaCTTrainer),
        ("FM", stock.Dataset, TextDataset, trainer.Trainer),
        ("SASRec", stock.SequentialDataset, HoldoutSequences, trainer.Trainer),
        ("S3Rec", stock.SequentialDataset, AttributeSequences, TwoStageS3RecTrainer),
        ("DIN", stock.SequentialDataset, HoldoutSequences, trainer.Trainer),
        ("DIEN", stock.DIENDataset, HoldoutSequences, trainer.Trainer),
        ("GRU4RecKG", stock.GRU4RecKGDataset, HoldoutSequences, trainer.Trainer),
        ("CFKG", stock.KnowledgeBasedDataset, TextDataset, trainer.KGTrainer),
        ("CKE", stock.KnowledgeBasedDataset, TextDataset, trainer.KGTrainer),
        ("KGAT", stock.KnowledgeBasedDataset, TextDataset, trainer.KGATTrainer),
    ],
)
def test_models_of_every_kind(name: str, base: type, reader: type, trained_by: type) -> None:
    entry = resolve(name)
    assert entry.model is get_model(name)
    assert issubclass(entry.dataset, base)
    assert issubclass(entry.dataset, reader)
    assert entry.trainer.__mro__[1:3] == (FullSortEvaluation, trained_by)
    assert entry.options is None


@pytest.mark.parametrize("name", sorted({*model_names()} - FOREIGN))
def test_every_model_reads_its_files_through_the_plugin(name: str) -> None:
    entry = resolve(name)
    assert issubclass(entry.model, AbstractRecommender)
    assert entry.model.__name__ == name
    assert issubclass(entry.dataset, TextDataset)
    own = getattr(stock, f"{name}Dataset", stock.Dataset)
    assert entry.dataset.__mro__.index(TextDataset) < entry.dataset.__mro__.index(own)  # the plugin's reader goes first


def test_a_dataset_class_of_a_models_own_keeps_its_doings(tmp_path: Path) -> None:
    rows = [f"u{u} i{(u + k) % 7} {k}" for u in range(4) for k in range(5)]
    files = {"inter": atomic("user_id:token item_id:token timestamp:float", *rows)}
    files |= {"item": atomic("item_id:token title:token", ["i1", '"Oil'])}
    options = {**BY_TIME, "eval_args.split": {"LS": "valid_and_test"}, "text_fields": {"item": ["title"]}}
    train = split_up(load(tmp_path, files, "DIEN", **options)).train._dataset
    assert train.inter_feat["neg_item_id_list"].shape == train.inter_feat["item_id_list"].shape
    assert len(pairs(train)) == 4 * 2  # five items a user, less two held out and the first
    assert train.corpus().item_texts[train.token2id("item_id", "i1")] == '"Oil.'


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LightGNC", "no model is called 'LightGNC'; did you mean 'LightGCN'?"),
        ("CLLM4Rek", "no model is called 'CLLM4Rek'; did you mean 'CLLM4Rec'?"),
        ("cllm4rec", "no model is called 'cllm4rec'; did you mean 'CLLM4Rec'?"),
        ("bpr", "no model is called 'bpr'; did you mean 'BPR'?"),
        ("SASREC", "no model is called 'SASREC'; did you mean 'SASRec'?"),
        ("???", f"no model is called '???'; the models: {', '.join(model_names())}"),
        ("", f"no model is called ''; the models: {', '.join(model_names())}"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(name)
    assert str(caught.value) == message


def test_a_model_of_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # as where it is not installed
    with pytest.raises(UserError) as caught:
        resolve("lightgbm")
    assert str(caught.value) == "model 'lightgbm' needs the package lightgbm: pip install lightgbm"
