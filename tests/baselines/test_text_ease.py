"""TextEASE: the closed form against least squares, what text adds to it, and RecBole's EASE where there is none."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
import toy
import yaml
from atomic_files import atomic, load, split_up
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.interaction import Interaction

from recbole_cllm4rec.baselines.text_ease import TextEASE, TextEASEOptions
from recbole_cllm4rec.config import properties_dir
from recbole_cllm4rec.corpus.text import Histories
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.closed_form import item_weights, sentence_rows, tfidf_rows
from recbole_cllm4rec.options import read_options
from recbole_cllm4rec.registry import resolve

PROPERTIES = yaml.safe_load((properties_dir() / "model/TextEASE.yaml").read_text(encoding="utf-8"))
REAL = Path(__file__).parents[3] / "shared" / "data" / "amazon-beauty"

NOWHERE = {"show_progress": False, "sentence_dir": None}

# Users 1 to 4 have some of items 1 to 5; nobody has both lip sticks, 1 and 5, and nobody has item 4.
TAKEN = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 1],
    ],
    dtype=np.float32,
)
TEXTS = ["", "red lip stick", "blue eye liner", "", "green eye oil", "green lip stick"]
FILES = {
    "inter": atomic(
        "user_id:token item_id:token", *(f"u{u} i{(3 * u + k * k) % 11}" for u in range(9) for k in range(6))
    ),
    "item": atomic("item_id:token title:token_seq", *([f"i{i}", ("red oil", "eye liner")[i % 2]] for i in range(11))),
}


def build(texts: list[str] = TEXTS, taken: Any = TAKEN, corpus: Any = None, **options: Any) -> TextEASE:
    """A model of float32 sentences, of no text unless ``options`` give it a weight."""
    n_users, n_items = taken.shape
    dataset = SimpleNamespace(
        num={"user": n_users, "item": n_items}.get,
        inter_matrix=lambda form: sp.csr_matrix(taken),
        corpus=lambda: corpus or SimpleNamespace(item_texts=texts),
        pairs=taken.nonzero,
    )
    values = {**PROPERTIES, "tfidf_weight": 0, "sentence_weight": 0, "precision": "float32", "recency": 1.0, **options}
    return TextEASE(toy.options(values.pop("backbone"), **values), dataset)


def scores(model: TextEASE, *users: int) -> np.ndarray:
    return model.full_sort_predict(Interaction({"user": torch.tensor(users)})).view(len(users), -1).numpy()


def least_squares(rows: np.ndarray, reg_weight: float) -> np.ndarray:
    """Weights [J, J] that give each column of ``rows`` from the others by ridge regression, a column at a time."""
    n_items = rows.shape[1]
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = np.arange(n_items) != j
        ridge = np.sqrt(reg_weight) * np.eye(n_items - 1)
        target = np.append(rows[:, j], np.zeros(n_items - 1))
        weights[others, j] = np.linalg.lstsq(np.vstack([rows[:, others], ridge]), target)[0]
    return weights


class TestItemWeights:
    def test_two_items_by_hand(self):
        # G + λI = [[3, 1], [1, 2]] has the inverse [[2, -1], [-1, 3]] / 5.
        found = item_weights(np.array([[2.0, 1.0], [1.0, 1.0]]), 1.0)
        np.testing.assert_allclose(found, [[0, 1 / 3], [1 / 2, 0]])

    @given(seed=st.integers(0, 999), n_items=st.integers(1, 12), reg_weight=st.floats(0.1, 1000))
    def test_each_column_is_a_ridge_regression_on_the_others(self, seed, n_items, reg_weight):
        rows = np.random.default_rng(seed).random((5, n_items))
        found = item_weights(rows.T @ rows, reg_weight)
        np.testing.assert_allclose(found, least_squares(rows, reg_weight), atol=1e-9)

    def test_too_little_regularisation_is_the_users_error(self):
        with pytest.raises(
            UserError, match=r"^reg_weight is 1e-12, too small to invert the Gram matrix with: raise it$"
        ):
            item_weights(np.ones((3, 3), dtype=np.float32), 1e-12)


class TestFeatures:
    def test_words_by_hand(self):
        rows = tfidf_rows(["", "oil oil hair", "oil dye", "hair", "paint", "nail"]).toarray()
        # hair and oil are each in 2 of 6 texts, so of equal weight; the second oil of a text counts ln 2
        twice = 1 + np.log(2)
        length = np.hypot(1, twice)
        np.testing.assert_allclose(
            rows, [[0, 0], [1 / length, twice / length], [0, 1], [1, 0], [0, 0], [0, 0]], rtol=1e-6
        )

    def test_words_of_most_items_do_not_count(self):
        rows = tfidf_rows(["", "hair oil", "hair oil", "hair dye", "hair dye"])
        np.testing.assert_allclose(rows.toarray(), [[0, 0], [0, 1], [0, 1], [1, 0], [1, 0]])

    def test_sentences_are_directions_from_their_mean(self, gpt2):
        model = toy.backbone(gpt2)
        rows = sentence_rows(model, TEXTS, "items", NOWHERE)
        assert np.flatnonzero(rows.any(axis=1)).tolist() == [1, 2, 4, 5]
        np.testing.assert_allclose(np.linalg.norm(rows[[1, 2, 4, 5]], axis=1), 1, rtol=1e-5)
        pair = sentence_rows(model, ["", "so good", "a red lip stick"], "items", NOWHERE)
        np.testing.assert_allclose(pair[1], -pair[2], atol=1e-6)  # two points are opposite, seen from the middle


class TestTheModel:
    @pytest.mark.parametrize(("tfidf_weight", "sentence_weight"), [(0, 0), (3, 0), (0, 2), (3, 2)])
    def test_it_fits_interactions_and_features_together(self, tfidf_weight, sentence_weight, gpt2):
        words, sentences = tfidf_rows(TEXTS).toarray(), sentence_rows(toy.backbone(gpt2), TEXTS, "items", NOWHERE)
        weights = {"tfidf_weight": tfidf_weight, "sentence_weight": sentence_weight}
        model = build(reg_weight=0.5, backbone=str(gpt2), **weights)
        rows = np.vstack([TAKEN, np.sqrt(tfidf_weight) * words.T, np.sqrt(sentence_weight) * sentences.T])
        np.testing.assert_allclose(model.item_similarity, least_squares(rows, 0.5), atol=1e-5)
        expected = TAKEN[[3, 1]] @ least_squares(rows, 0.5)
        np.testing.assert_allclose(scores(model, 3, 1)[:, 1:], expected[:, 1:], atol=1e-5)

    def test_like_text_brings_items_together_that_nobody_took_together(self):
        without, known = scores(build(), 1)[0], scores(build(tfidf_weight=10), 1)[0]
        assert without[4] == 0  # nobody has it
        assert known[5] > without[5] + 0.01  # as user 1 has the other lip stick
        assert known[4] > 0.01  # as user 1 has the other for the eye

    def test_an_item_without_text_is_known_by_its_interactions(self):
        model = build(tfidf_weight=10, taken=TAKEN * (np.arange(6) != 3))  # nobody has item 3
        assert not model.item_similarity[3].any()
        assert not model.item_similarity[:, 3].any()

    def test_the_latest_items_may_count_most(self):
        histories = Histories(np.array([1, 2, 2]), np.array([2, 3, 1]), 5)  # 3 before 1
        corpus = SimpleNamespace(item_texts=TEXTS, histories=histories)
        model = build(corpus=corpus, recency=0.25)
        B = model.item_similarity
        np.testing.assert_allclose(scores(model, 2)[0, 1:], (0.25 * B[3] + B[1])[1:], rtol=1e-5)
        np.testing.assert_allclose(scores(model, 1)[0, 1:], B[2][1:], rtol=1e-5)

    def test_how_much_the_latest_count_is_told_by_latest_items_that_the_weights_have_not_seen(self):
        # Items 1 and 2 go together, and 3 and 4; the last of three goes with the one before it, and now and then none.
        chains = [[1, 3, 4], [3, 1, 2]] * 20 + [[1, 2], [3, 4]] * 20 + [[1, 4], [3, 2]] * 5
        users = np.repeat(np.arange(1, len(chains) + 1), [len(chain) for chain in chains])
        items = np.concatenate(chains)
        taken = np.zeros((len(chains) + 1, 6), dtype=np.float32)
        taken[users, items] = 1
        corpus = SimpleNamespace(item_texts=TEXTS, histories=Histories(users, items, len(taken)))
        latest = build(corpus=corpus, taken=taken, recency="auto")
        assert latest.inferred == {"recency": 0.1}
        asked = build(corpus=corpus, taken=taken, recency=0.1)
        assert asked.inferred == {}  # the configuration has it
        np.testing.assert_allclose(scores(latest, 1), scores(asked, 1))
        nothing_taken = np.zeros((4, 6), dtype=np.float32)
        assert build(recency="auto", corpus=toy.CORPUS, taken=nothing_taken).recency == 1

    def test_it_shows_how_far_it_is(self, capsys):
        build(recency="auto", corpus=toy.CORPUS, taken=np.zeros((4, 6), dtype=np.float32), show_progress=True)
        assert "solve the item weights: 100%" in capsys.readouterr().err
        build()
        assert not capsys.readouterr().err

    def test_the_padding_item_is_never_recommended(self):
        assert (scores(build(tfidf_weight=10), 0, 1, 4)[:, 0] == -np.inf).all()

    def test_pairs_are_scored_as_in_the_full_ranking(self):
        model = build(tfidf_weight=10)
        ranking = scores(model, 1, 2)
        pairs = Interaction({"user": torch.tensor([2, 1, 2]), "item": torch.tensor([5, 1, 1])})
        np.testing.assert_allclose(model.predict(pairs), [ranking[1, 5], ranking[0, 1], ranking[1, 1]], rtol=1e-6)


class TestTheBackbone:
    def test_without_a_weight_none_is_loaded(self):
        assert build(tfidf_weight=1, backbone="no/such/folder").backbone is None

    def test_it_is_no_part_of_what_is_trained_or_saved(self, gpt2):
        model = build(sentence_weight=1, backbone=str(gpt2))
        assert model.backbone.fingerprint() == toy.backbone(gpt2).fingerprint()
        assert [name for name, _ in model.named_parameters()] == list(model.state_dict()) == ["dummy_parameter"]

    def test_it_reads_as_many_tokens_as_asked(self, gpt2):
        assert build(sentence_weight=1, backbone=str(gpt2), max_length=9).backbone.max_length == 9


class TestOptions:
    def test_the_yaml_has_a_legal_default_for_each(self):
        assert list(PROPERTIES) == [field.name for field in fields(TextEASEOptions)]
        assert read_options(TextEASEOptions, PROPERTIES) == TextEASEOptions(**PROPERTIES)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"reg_weight": 0}, "reg_weight takes a number above 0, not 0"),
            ({"tfidf_weight": -1}, "tfidf_weight takes a number of at least 0, not -1"),
            ({"sentence_weight": "much"}, "sentence_weight takes a number of at least 0, not 'much'"),
        ],
    )
    def test_what_is_not_legal(self, options, message):
        with pytest.raises(UserError) as caught:
            build(**options)
        assert str(caught.value) == message

    @pytest.mark.parametrize("name", ["tfidf_weight", "sentence_weight"])
    def test_a_weight_for_text_that_no_item_has(self, name):
        with pytest.raises(UserError) as caught:
            build([""] * 6, **{name: 1})
        message = f"no item has a text for {name}: name its columns in text_fields, or set the weight to 0"
        assert str(caught.value) == message

    def test_texts_that_share_no_word(self, caplog):
        model = build(["", "red", "blue", "", "green", "yellow"], tfidf_weight=1)
        assert "words tell no items apart" in caplog.text
        np.testing.assert_array_equal(model.item_similarity, build(tfidf_weight=0).item_similarity)


class TestThroughRecBole:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        """RecBole's trainers leave logs and checkpoints where they run."""
        monkeypatch.chdir(tmp_path)

    def trained(self, folder: Path, name: str, **options: Any) -> tuple[Any, Any, Any]:
        """Parts, model and trainer after training."""
        dataset = load(folder, FILES, name, reg_weight=3.0, text_fields={"item": ["title"]}, **options)
        parts = split_up(dataset)
        entry = resolve(name)
        model = entry.model(dataset.config, parts.train._dataset)
        trainer = entry.trainer(dataset.config, model)
        trainer.fit(parts.train, parts.valid, show_progress=False)
        return parts, model, trainer

    def test_without_text_it_is_recboles_ease(self, tmp_path):
        _, ours, _ = self.trained(tmp_path, "TextEASE", tfidf_weight=0.0, sentence_weight=0.0)
        _, theirs, _ = self.trained(tmp_path, "EASE")
        np.testing.assert_allclose(ours.item_similarity, theirs.item_similarity, atol=1e-6)
        users = Interaction({"user_id": torch.arange(1, 10)})
        found, expected = (model.full_sort_predict(users).view(9, -1)[:, 1:] for model in (ours, theirs))
        torch.testing.assert_close(found, torch.as_tensor(expected), atol=1e-6, rtol=0)

    def test_a_checkpoint_restores_it(self, tmp_path):
        parts, model, trainer = self.trained(tmp_path, "TextEASE", tfidf_weight=2.0)
        expected = trainer.evaluate(parts.test, show_progress=False)
        elsewhere = str(tmp_path / "other")  # RecBole names a checkpoint by the second that it was begun in
        _, other, restored = self.trained(tmp_path, "TextEASE", tfidf_weight=0.0, checkpoint_dir=elsewhere)
        assert not np.array_equal(other.item_similarity, model.item_similarity)
        assert restored.evaluate(parts.test, model_file=trainer.saved_model_file) == expected
        assert np.array_equal(other.item_similarity, model.item_similarity)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/amazon-beauty, the paper's AM-Beauty, is not here")
def test_titles_and_categories_lift_ease_on_the_papers_beauty():
    n_items = 2000  # of 6,086, for time
    train, valid = (sp.load_npz(REAL / f"{part}_matrix.npz").tocsc()[:, :n_items].tocsr() for part in ("train", "val"))
    padded = sp.csr_matrix((train.data, train.indices + 1, np.append(0, train.indptr)), (10_554, n_items + 1))
    items = pd.read_csv(REAL / "items.tsv", sep="\t", quoting=3, keep_default_na=False)[:n_items]
    texts = ["", *(items["title"] + ". " + items["categories"])]
    users = np.flatnonzero(valid.getnnz(axis=1))

    def recall(tfidf_weight: float) -> float:
        """Recall@20 on the validation part, the training items masked."""
        model = build(texts, padded, reg_weight=200.0, tfidf_weight=tfidf_weight)
        ranked = scores(model, *(users + 1))[:, 1:]
        ranked[train[users].nonzero()] = -np.inf
        top = torch.from_numpy(ranked).topk(20).indices.numpy()
        relevant = valid[users].toarray()
        return (np.take_along_axis(relevant, top, axis=1).sum(axis=1) / relevant.sum(axis=1)).mean()

    assert recall(5) > 1.05 * recall(0)
