"""What goes in comes out: any text and any id, from raw lines to the parts of a split, compared string by string."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from atomic_files import pairs as pairs_of
from atomic_files import split_up
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from odd import IDS, ODD, distinct, words
from raw_files import review

from dataset_prep.__main__ import main
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.registry import resolve

OPTIONS = {
    "topk": [2],
    "metrics": ["NDCG"],
    "valid_metric": "NDCG@2",
    "gpu_id": "",
    "text_template": {"inter": "<{summary}|{review}>", "item": "<{title}|{categories}|{brand}|{description}>"},
}


def through_everything(folder: Path, users: list[str], items: list[str], texts: list[str]) -> None:
    """Convert a graph that lacks one item a user, and some that the 4-core removes; load, remap, split and compare."""
    pairs = [(user, item) for u, user in enumerate(users) for i, item in enumerate(items) if u != i]
    told = {pair: (texts[2 * n % len(texts)], texts[(2 * n + 1) % len(texts)]) for n, pair in enumerate(pairs)}
    reviews = [review(*pair, summary=told[pair][0], reviewText=told[pair][1]) for pair in pairs]
    reviews[3:3] = [
        review("sparse", items[0]),
        review(users[0], "rare", summary=texts[0]),
        review(*pairs[9], overall=1),
    ]
    products = {
        item: {"title": texts[n], "brand": texts[-n], "description": texts[n // 2]} for n, item in enumerate(items)
    }
    raw, meta = folder / "raw.json", folder / "meta.json"
    raw.write_text("".join(json.dumps(record) + "\n" for record in reviews))
    meta.write_text("".join(json.dumps({"asin": i, **told}, ensure_ascii=False) + "\n" for i, told in products.items()))
    core = ["--min-user", "4", "--min-item", "4", "--out", str(folder / "toy")]
    assert main(["amazon", str(raw), str(meta), *core]) == 0

    entry = resolve("EASE")
    dataset = entry.dataset(Config(entry.model, "toy", (), OPTIONS | {"data_path": str(folder)}, entry.options))
    assert isinstance(dataset, TextDataset)
    assert set(dataset.field2token_id["user_id"]) == {"[PAD]", *users}
    assert set(dataset.field2token_id["item_id"]) == {"[PAD]", *items}
    parts = split_up(dataset).parts
    assert sorted(pair for part in parts for pair in pairs_of(part)) == sorted(pairs)
    corpus = parts[0].corpus()
    for item, product in products.items():
        cells = [product["title"], "", product["brand"], product["description"]]
        expected = f"<{'|'.join(cells)}>" if any(cell.strip() for cell in cells) else ""
        assert corpus.item_texts[dataset.field2token_id["item_id"][item]] == expected
    trained = {
        (dataset.id2token("user_id", found.user), dataset.id2token("item_id", found.item)): found.text
        for found in corpus.reviews
    }
    expected_texts = {pair: told[pair] for pair in pairs_of(parts[0]) if any(map(str.strip, told[pair]))}
    assert trained == {pair: f"<{summary}|{text}>" for pair, (summary, text) in expected_texts.items()}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(distinct, distinct, st.lists(words, min_size=8, max_size=40))
@example(IDS[:5], IDS[5:10], ODD)
@example(IDS[10:15], IDS[13:18], ODD[::-1])
@example(IDS[13:18], IDS[:5], ["", " ", "\t", "NA"] * 2)
def test_texts_and_ids_survive(users, items, texts):
    with TemporaryDirectory() as folder:
        through_everything(Path(folder), users, items, texts)
