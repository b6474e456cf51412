"""What RecBole, its evaluator and a comparison expect of every model here, whatever it learns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from recbole.data.interaction import Interaction
from shop import SMALL, shop_in

from recbole_cllm4rec.experiment import Fitted, configure, fit, run

TINY = {"n_layers": 1, "n_heads": 2, "hidden_size": 8, "inner_size": 16, "learning_rate": 0.01, "train_batch_size": 4}


class Trained(NamedTuple):
    """A model after a short training."""

    model: Any
    loader: Any  # of the test part
    n_items: int  # with RecBole's padding item; a model's own n_items may count a mask too
    fitted: Fitted

    def scores(self, users_at_once: int | None = None) -> torch.Tensor:
        """Of all items [U, J] for the users of the test part, before anything is masked."""
        rows = self.loader.user_df
        with torch.no_grad():
            parts = [self.model.full_sort_predict(part) for part in _parts(rows, users_at_once or len(rows))]
        return torch.cat(parts).view(len(rows), -1)


def _parts(rows: Any, size: int) -> list[Any]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


class Contract:
    """Tests that each model inherits."""

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class")
    def overrides(self, bert: Path) -> dict[str, Any]:
        return {**SMALL, **{key: str(bert) if value == "bert" else value for key, value in self.options.items()}}

    @pytest.fixture(scope="class")
    def trained(self, overrides: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
        with shop_in(tmp_path_factory, self.name):
            entry, config = configure(self.name, "shop", (), overrides)
            fitted = fit(entry, config)
            test = fitted.parts.test
            yield Trained(fitted.model.eval(), test, test._dataset.item_num, fitted)

    def test_every_item_has_a_score(self, trained: Trained) -> None:
        scores = trained.scores()
        assert scores.shape == (len(trained.loader.uid_list), trained.n_items)
        assert scores[:, 1:].isfinite().all()  # RecBole masks the padding item, whatever its score

    def test_scores_are_the_same_when_asked_again(self, trained: Trained) -> None:
        assert torch.equal(trained.scores(), trained.scores())

    def test_a_user_is_scored_alike_in_any_company(self, trained: Trained) -> None:
        assert torch.allclose(trained.scores()[:, 1:], trained.scores(users_at_once=1)[:, 1:], atol=1e-5)

    def test_pairs_are_scored_as_in_the_full_ranking(self, trained: Trained) -> None:
        rows = trained.loader.user_df
        items = 1 + torch.arange(len(rows)) % (trained.n_items - 1)
        pairs = Interaction({**rows.interaction, trained.model.ITEM_ID: items})
        with torch.no_grad():
            found = trained.model.predict(pairs).view(-1)
        assert torch.allclose(found, trained.scores().gather(1, items[:, None]).squeeze(1), atol=1e-5)

    def test_a_run_can_be_repeated_on_the_split_of_all(self, overrides: dict[str, Any], trained: Trained) -> None:
        again = run(self.name, "shop", (), overrides)
        assert again["valid"] == trained.fitted.valid
        assert again["split"] == trained.fitted.parts.fingerprints == run("Pop", "shop", (), SMALL)["split"]


class TestCLLM4Rec(Contract):
    name = "CLLM4Rec"
    options: ClassVar = {
        "backbone": "bert",
        "token_init": "text",
        **dict.fromkeys(["content_epochs", "pretrain_epochs", "epochs"], 1),
    }


class TestTextEASE(Contract):
    name = "TextEASE"
    options: ClassVar = {"backbone": "bert", "sentence_weight": 1.0}


class TestS3Rec(Contract):
    name = "S3Rec"
    options: ClassVar = {**TINY, "item_attribute": "title", "pretrain_epochs": 1, "epochs": 1}


class TestDirectBERT4Rec(Contract):
    name = "DirectBERT4Rec"
    options: ClassVar = {**TINY, "epochs": 1, "eval_step": 1}


class TestDirectS3Rec(Contract):
    name = "DirectS3Rec"
    options: ClassVar = {**TINY, "item_attribute": "title", "pretrain_epochs": 1, "epochs": 1, "eval_step": 1}


class TestOneOfRecBole(Contract):
    """What holds for ours holds for a model of RecBole's, on our split."""

    name = "SASRec"
    options: ClassVar = {**TINY, "epochs": 1}
