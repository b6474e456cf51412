"""How much work a case is, by hand, and that running one trains."""

import numpy as np
import pytest
import torch

from benchmarks.cases import Work, build_case, matrix_weights
from benchmarks.run import prepare
from recbole_cllm4rec.backbone.base import Layout


@pytest.fixture
def both(small_gpt2, lengths, settings):
    return prepare(small_gpt2, lengths, settings)


def test_weights_of_gpt2_by_hand(both):
    # Attention 16 · 48 and 16 · 16, feed-forward 16 · 64 and 64 · 16, in each of two layers.
    assert matrix_weights(both[0].model.backbone.model) == 2 * (16 * 48 + 16 * 16 + 2 * 16 * 64)


def test_weights_of_an_encoder_are_without_its_tables_and_pooler(bert, lengths, settings):
    workload, _ = prepare(str(bert), lengths, settings)
    assert matrix_weights(workload.model.backbone.model) == 2 * (4 * 16 * 16 + 2 * 16 * 32)


def test_operations_of_scoring_by_hand(both):
    workload, reference = both
    work = build_case("scoring", workload, reference, documents=1000).work
    tokens = 30 * 10 + 10 * (3 + 5 + 11)  # the prompt's ten, and the histories
    assert work == Work(30, tokens, 2.0 * (6144 * tokens + 16 * 13 * 30))


def test_operations_of_recommendation_by_hand(both):
    workload, reference = both
    work = build_case("recommendation", workload, reference, documents=1000).work
    tokens = 30 * 10 + 10 * (2 + 4 + 9)  # a fifth of the items is masked, one at least
    assert work == Work(30, tokens, 4.0 * (6144 * tokens + 16 * 13 * 30))


def test_operations_of_content_by_hand(both):
    workload, reference = both
    work = build_case("content", workload, reference, documents=1000).work
    # Prompts "The content of <item> is :" of 6, "<user> writes the review for <item> :" of 7 tokens. The last word is
    # not read; of the review of 90 words 64 - 7 are left.
    states = 4 * (2 + 7 + 20) + 8 * 4 + 57
    tokens = states + 12 * 5 + 9 * 6
    assert work == Work(21, tokens, 4.0 * (6144 * tokens + 16 * 200 * states))


@pytest.mark.parametrize("name", ["content", "collaborative", "recommendation"])
@pytest.mark.parametrize("side", ["reference", "ours"])
def test_a_run_trains_the_sides_own_view_alone(both, name, side):
    workload, reference = both
    case = build_case(name, workload, reference, documents=25)
    model = {"reference": reference, "ours": workload.model}
    before = {(s, n): p.detach().clone() for s, m in model.items() for n, p in m.named_parameters()}
    getattr(case, side)()
    moved = {
        (s, n.partition(".")[0]) for s, m in model.items() for n, p in m.named_parameters() if not p.equal(before[s, n])
    }
    assert moved == {(side, "content" if name == "content" else "collaborative")}


def test_both_sides_read_the_same_documents(both, monkeypatch):
    workload, reference = both
    case = build_case("content", workload, reference, documents=16)
    read: dict[str, list[bytes]] = {"reference": [], "ours": []}
    lay_out = type(workload.model.backbone).lay_out_text
    for side, documents in read.items():

        def kept(backbone, prompt, main, rng, documents=documents) -> Layout:
            documents.append(np.concatenate([prompt, main]).tobytes())
            return lay_out(backbone, prompt, main, rng)

        monkeypatch.setattr(type(workload.model.backbone), "lay_out_text", kept)
        getattr(case, side)()
    assert sorted(read["reference"]) == sorted(read["ours"])
    assert len(read["ours"]) == case.work.documents == 16


def test_a_sample_is_of_batches_from_every_quarter_of_the_lengths(both):
    case = build_case("collaborative", *both, documents=11)
    # Of 30 histories by length, ten of 3, of 5 and of 11 items, places 3, 4 of 0-7, 11, 12 of 8-15, 18, 19 of 16-22 and
    # 25, 26 of 23-29; a prompt has four tokens, and the last item is not read.
    assert case.work.documents == 8
    assert case.work.tokens == 2 * (4 + 2) + 4 * (4 + 4) + 2 * (4 + 10)


def test_scoring_keeps_the_weights(both):
    workload, reference = both
    before = workload.model.collaborative.users.detach().clone()
    case = build_case("scoring", workload, reference, documents=25)
    case.reference()
    case.ours()
    assert torch.equal(workload.model.collaborative.users, before)
