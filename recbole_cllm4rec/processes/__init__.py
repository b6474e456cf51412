"""Several processes at one training. What connects them is known here alone; alone, a process needs nothing of it.

torchrun starts them and says in the environment who each is. All of them read the same data, draw the same batches and
take the same steps; what they share out is the work on a batch, so that a training goes as it goes in one process.
"""

from recbole_cllm4rec.processes.group import (
    LostError,
    barrier,
    check_same,
    from_main,
    is_main,
    joined,
    largest,
    main_first,
    place,
    rank,
    say_once,
    turns,
    watch,
    world,
)
from recbole_cllm4rec.processes.tensors import own_draws, put_together, same, shard, sum_gradients

__all__ = [
    "LostError",
    "barrier",
    "check_same",
    "from_main",
    "is_main",
    "joined",
    "largest",
    "main_first",
    "own_draws",
    "place",
    "put_together",
    "rank",
    "same",
    "say_once",
    "shard",
    "sum_gradients",
    "turns",
    "watch",
    "world",
]
