"""The options of CLLM4Rec. Their defaults stand in ``properties/model/CLLM4Rec.yaml``."""

from dataclasses import dataclass
from typing import Annotated, Literal

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.closed_form import ClosedFormOptions
from recbole_cllm4rec.options import Above, AtLeast, Share, check_span


@dataclass(frozen=True)
class CLLM4RecOptions(ClosedFormOptions):
    """Every choice that CLLM4Rec leaves open, beside RecBole's own (``epochs``, ``learning_rate``, …)."""

    backbone: str
    """A hub id, a local folder, ``minilm`` or ``scratch``."""
    pretrained: bool
    """Start from the backbone's weights, or from random ones in its architecture (LLM-Scratch), then always trained."""
    train_backbone: bool
    """Train the backbone's weights too (LLM-FtAll)."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Precision of frozen weights, and of what evaluation scores by where the head reads the state alone; ``auto``
    is the faster of the two here. Trained weights are float32."""
    shard_backbone: bool
    """Several processes hold a share each of a frozen backbone's layers (FSDP), for one that no GPU has room for."""
    max_length: Annotated[int, AtLeast(8)]
    """Tokens of a document, capped by the backbone's positions."""
    token_init: Literal["random", "text"]
    """User and item tokens start from noise, or from the encoded sentence of their text."""
    content_view: bool
    """Learn the content LLM; without it there is nothing to regularise toward (LLM-CF)."""
    shared_words: bool
    """An item's collaborative token is its own row plus the rows of its words, which items of like text share."""
    item_head: Literal["state", "pooled", "both"]
    """The item head reads the language model's state of a question, its pooled items and its user token, or all."""
    pool_attention: bool
    """Pooled items weigh by a learnt attention, or evenly."""
    user_shrink: Annotated[float, AtLeast(0)]
    """κ: where n items are shown the user token counts (n + 1) / (n + 1 + κ) in the head; with 0 always in full."""
    training_prior: Annotated[float, AtLeast(0)]
    """Weight in training of the closed form over a history, in units of its likeliest strength. Its item weights are
    those of ``reg_weight``, ``tfidf_weight``, ``sentence_weight`` and ``amplification``, the weights of texts as far as
    they find hidden items."""
    scoring_prior: Annotated[float, AtLeast(0)]
    """The same in scoring, where a history hides nothing."""
    lambda_c: Annotated[float, AtLeast(0)]
    """Precision λ_c of the content view given the collaborative view: the strength of mutual regularisation. Beside an
    encoder, which predicts ``text_mask_share`` of a main text where a decoder predicts all, it counts so much more."""
    loss_scope: Literal["per-document", "per-token"]
    """How likelihood and regularisation are summed: the paper's objective, or as in the released code's language
    modelling a mean over tokens against a sum over the batch, which there is one of 20 documents on each of 8 GPUs."""
    alternation: Literal["step", "epoch"]
    """L-steps and C-steps alternate a step at a time (paper) or an epoch at a time (released code)."""
    shuffle_items: bool
    """Draw a new order of the items at every visit; without it, LLM-FixOrd."""
    finetune_target: Literal["held-out", "train"]
    """Finetuning predicts the masked items (paper) or all training items (released code)."""
    mask_share: Share | list[Share]
    """Share p_m of a history that finetuning masks, one item at least; [low, high] draws it anew at every visit."""
    text_mask_share: Share
    """Share of a main text that encoder-only backbones mask, one token at least."""
    content_epochs: Annotated[int, AtLeast(0)]
    """Epochs of the content warm-up."""
    pretrain_epochs: Annotated[int, AtLeast(0)]
    """Epochs of mutually regularised pretraining. The epochs of finetuning are RecBole's ``epochs``."""
    content_share: Share
    """Share of the content documents that one epoch of the later stages visits."""
    schedule_share: Annotated[float, Above(0)]
    """Share of the epochs of every stage, rounded up, that are trained: a long schedule in less time."""
    pretrain_learning_rate: Annotated[float, Above(0)]
    """Learning rate of the first two stages. That of finetuning is RecBole's ``learning_rate``."""
    backbone_learning_rate: Annotated[float, Above(0)] | None
    """Learning rate of a backbone that is trained, in all stages; that of the tokens if null."""
    learning_rate_schedule: Literal["constant", "linear"]
    """Whether the learning rate of finetuning stays, or falls in a line to zero over its epochs."""
    sampled_above: Annotated[int, AtLeast(0)]
    """Items above which training samples the softmax over items; it is never sampled in scoring."""
    n_sampled: Annotated[int, AtLeast(1)]
    """Items drawn for a sampled softmax, beside the targets; anew for every part of a batch."""
    max_batch_tokens: Annotated[int, AtLeast(1)]
    """Padded tokens that are read at once: a batch of ``train_batch_size`` documents is read in parts of no more."""
    variant: str
    """A named set of the above: see ``variants`` in the yaml."""

    def __post_init__(self) -> None:
        check_span("mask_share", self.mask_share)
        if self.recency != "auto" and self.recency < 1 and self.item_head == "state" and not self.has_prior:
            raise UserError(
                f"recency is {self.recency:g}, but nothing counts items: item_head is state and both priors are 0; "
                "leave it out, or set item_head to both"
            )

    @property
    def has_prior(self) -> bool:
        """Whether the closed form counts anywhere."""
        return bool(self.training_prior or self.scoring_prior)

    def readers_of_items(self) -> list[str]:
        """The options by which the texts of items are read, beside the content view."""
        of_tokens = {"token_init": self.token_init == "text", "shared_words": self.shared_words}
        of_prior = super().readers_of_items() if self.has_prior else []
        return [name for name, reads in of_tokens.items() if reads] + of_prior
