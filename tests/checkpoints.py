"""Small random checkpoints in the hub's format: real architectures and real tokenizers, in a few thousand weights."""

from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)

TEXT = [
    "has interacted with the user will interact with: the biography of is: the content of is: writes the review for :",
    "a red lip stick, a blue eye liner, a green hair oil; very good, very bad, not so good.",
]

TINY = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
"""Of every transformer here, as most of their configurations call it."""


def save_bert(folder: Path, positions: int = 64) -> Path:
    """An encoder of 2 layers and 16 dimensions."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=positions, **names)
    set_seed(0)
    config = BertConfig(vocab_size=len(fast), num_hidden_layers=2, max_position_embeddings=positions, **TINY)
    return _save(folder, BertModel(config), fast)


def save_gpt2(folder: Path) -> Path:
    """A decoder with a tied head."""
    fast = _byte_tokenizer()
    set_seed(0)
    config = GPT2Config(vocab_size=len(fast), n_embd=16, n_layer=2, n_head=2, n_positions=64)
    return _save(folder, GPT2LMHeadModel(config), fast)


def save_llama(folder: Path) -> Path:
    """A decoder whose head is not tied to its word embeddings."""
    fast = _byte_tokenizer()
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), num_hidden_layers=2, max_position_embeddings=64, tie_word_embeddings=False, **TINY
    )
    return _save(folder, LlamaForCausalLM(config), fast)


def save_t5(folder: Path) -> Path:
    """An encoder-decoder."""
    fast = _byte_tokenizer()
    config = T5Config(vocab_size=len(fast), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return _save(folder, T5ForConditionalGeneration(config), fast)


def _byte_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, eos_token="<|endoftext|>")


def _save(folder: Path, model: object, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
