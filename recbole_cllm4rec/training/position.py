"""How far a training is: its stage, epoch and batch, and the way back to where it was."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from tqdm import tqdm

from recbole_cllm4rec.corpus.batching import Batch
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.training.stages import Pass, Stage


@dataclass
class Position:
    """``step`` batches of an ``epoch`` of a ``stage`` are done, the latter two counted from 0.

    ``losses`` of these batches, by pass; ``seconds`` that they took; ``order``: states of the generator that draws the
    epoch's batches, before the first and after the last of those done.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    order: tuple[Any, Any] | None = None

    def walk(self, stage: Stage, rng: np.random.Generator, bar: tqdm) -> Iterator[tuple[Pass, Batch]]:
        """The epoch's batches that are not done yet. Those that are, are drawn again, as what they draw is the same.

        Raises :class:`UserError` where it is not: then the texts, the tokenizer or a library are others than before.
        """
        if self.order is not None:
            rng.bit_generator.state = self.order[0]
        begun, now = rng.bit_generator.state, self.order and self.order[1]
        self.losses = self.losses or {current.name: [] for current in stage.passes}
        batches = stage.steps(rng)
        for _, batch in islice(batches, self.step):
            bar.update(len(batch))
        if now is not None and now != rng.bit_generator.state:
            raise UserError(
                f"{self.words(stage.name)} is not read as it was before: the text of the data, the tokenizer or the "
                "versions of libraries differ from those of the checkpoint; start anew, without --resume"
            )
        for current, batch in batches:
            self.order = begun, rng.bit_generator.state
            yield current, batch
            bar.update(len(batch))

    def count(self, current: Pass, loss: float, seconds: float) -> None:
        """One more batch is done, ``seconds`` after the epoch's beginning."""
        self.losses[current.name].append(loss)
        self.seconds = seconds
        self.step += 1

    def next_epoch(self, epoch: int, rng: np.random.Generator) -> "Position":
        """The beginning of an epoch of the same stage."""
        state = rng.bit_generator.state
        return Position(self.stage, epoch, order=(state, state))

    def words(self, stage: str) -> str:
        """For messages; ``stage`` is its name."""
        return f"stage {stage!r}, epoch {self.epoch + 1}, batch {self.step + 1}"
