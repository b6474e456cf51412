"""One seed gives one result; and what is drawn for one purpose does not depend on what is drawn for another."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stopping
import torch
import toy
from shop import SMALL, build_shop

from recbole_cllm4rec.experiment import configure, run
from recbole_cllm4rec.model.sampling import sample_items
from recbole_cllm4rec.protocol.split import split


@pytest.fixture
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_shop(tmp_path)


@pytest.mark.usefixtures("_shop")
class TestRuns:
    @pytest.mark.parametrize(
        "changes", [{}, {"train_backbone": True, "variant": "paper", "sampled_above": 0, "n_sampled": 2}]
    )
    def test_one_seed_gives_the_same_bits_with_any_number_of_workers(self, gpt2: Path, changes: dict[str, Any]) -> None:
        first, again, other = (
            run("CLLM4Rec", "shop", (), stopping.options(gpt2, **changes, worker=worker, seed=seed))
            for worker, seed in ((0, 7), (2, 7), (0, 8))
        )
        stopping.same(first, again)
        assert first["history"][0]["content loss"] != other["history"][0]["content loss"]

    def test_so_it_does_of_a_model_that_draws_negatives(self) -> None:
        weights = []
        for worker in (0, 1, 2):
            result = run("BPR", "shop", (), {**SMALL, "worker": worker, "epochs": 2, "train_batch_size": 20})
            weights.append(torch.load(result["weights"], weights_only=False)["state_dict"])
        for name, tensor in weights[0].items():
            assert torch.equal(tensor, weights[1][name])
            assert torch.equal(tensor, weights[2][name])

    def test_the_split_is_of_its_own_seed_whatever_the_model_and_its_seed(self, gpt2: Path) -> None:
        fingerprints = []
        asked: list[tuple[str, dict[str, Any]]] = [
            ("Pop", {}),
            ("BPR", {"seed": 3, "embedding_size": 8}),
            ("CLLM4Rec", {"seed": 4, "backbone": str(gpt2)}),
        ]
        for model, options in asked:
            entry, config = configure(model, "shop", (), {**SMALL, **options})
            torch.manual_seed(config["seed"])
            fingerprints.append(split(config, entry.dataset(config)).fingerprints)
        assert fingerprints[0] == fingerprints[1] == fingerprints[2]
        entry, config = configure("Pop", "shop", (), {**SMALL, "split_seed": 1})
        assert split(config, entry.dataset(config)).fingerprints != fingerprints[0]


class TestStreams:
    def test_initialisation_depends_on_no_option_of_order_or_sampling(self, gpt2: Path) -> None:
        changes = [{}, {"sampled_above": 0, "n_sampled": 2}, {"mask_share": 0.7}, {"train_batch_size": 2}]
        models = [toy.build(toy.options(gpt2, **change)) for change in changes]
        for model in models[1:]:
            for a, b in zip(models[0].parameters(), model.parameters(), strict=True):
                assert torch.equal(a, b)

    def test_order_depends_on_no_initialisation_and_no_sampling(self, gpt2: Path) -> None:
        def order(**changes: Any) -> list[list[int]]:
            config = toy.options(gpt2, train_batch_size=2, **changes)
            stage = toy.stages(config, toy.build(config))[-1]
            return [batch.ids.tolist() for _, batch in stage.steps(np.random.default_rng(1))]

        assert order() == order(token_init="text") == order(sampled_above=0, n_sampled=2) == order(train_backbone=True)

    def test_samples_depend_on_no_initialisation_and_no_dropout(self, gpt2: Path) -> None:
        def samples(n_global: int, **changes: Any) -> list[list[int]]:
            model = toy.build(toy.options(gpt2, **changes))
            torch.randn(n_global)
            return [sample_items(torch.tensor([3]), 100, 5, model.sampling).items.tolist() for _ in range(4)]

        first = samples(0)
        assert first == samples(9) == samples(0, token_init="text") == samples(0, train_backbone=True)
        assert first != samples(0, seed=2)
        assert len({tuple(sample) for sample in first}) == 4
