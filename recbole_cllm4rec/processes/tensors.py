"""Tensors that processes exchange, and layers that they hold together.

Gradients are summed here and not by ``DistributedDataParallel``, which wants one backward pass a step and knows no
sparse gradients.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import parameters_to_vector

from recbole_cllm4rec.processes.group import connection, rank, world

LARGE = 2**20
"""Numbers from which on a gradient is exchanged where it lies, not copied beside others."""


def put_together(rows: Tensor) -> Tensor:
    """``rows`` [N, K], each of which one process has and all others have as zeros, bit for bit, in all processes."""
    if world() > 1 and rows.numel():
        distributed.all_reduce(rows.view(torch.uint8), group=connection(rows.device))
    return rows


def same(tensors: Iterable[Tensor]) -> None:
    """Make ``tensors`` what they are in the main process."""
    if world() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor, src=0, group=connection(tensor.device))


def sum_gradients(parameters: Sequence[nn.Parameter], loss: float) -> float:
    """Make the gradients of ``parameters`` the sum over processes of their own; the sum of the losses.

    Every process has gradients of the same parameters, dense or sparse: they have all computed the same loss, of
    documents of their own.
    """
    if world() == 1:
        return loss
    dense = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = _sum_of_rows(parameter.grad)
        else:
            parameter.grad = parameter.grad.contiguous()
            dense.append(parameter.grad)
    for large in (gradient for gradient in dense if gradient.numel() >= LARGE):
        distributed.all_reduce(large, group=connection(large.device))
    _sum_small([gradient for gradient in dense if gradient.numel() < LARGE])
    total = torch.tensor(loss, dtype=torch.float64)
    distributed.all_reduce(total)
    return total.item()


@contextmanager
def own_draws(device: torch.device) -> Iterator[None]:
    """Let dropout draw what it draws in no other process; afterwards, torch's generators are alike in all."""
    if world() == 1:
        yield
        return
    seed = int(torch.randint(2**62, ()))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed + rank())
        yield


def shard(model: nn.Module, layers: nn.ModuleList, device: torch.device) -> None:
    """Let each process hold a share of the frozen ``layers`` of ``model``, which are gathered one by one when used.

    What is not in them stays whole. From now on a pass through ``model`` is one of all processes.
    """
    if world() == 1:
        return
    from torch.distributed.device_mesh import DeviceMesh  # these take a second to load
    from torch.distributed.fsdp import fully_shard

    everybody: Any = connection(device) or distributed.group.WORLD
    mesh = DeviceMesh.from_group(everybody, device.type)
    whole = set(model.parameters()).difference(layers.parameters())
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params=whole)  # a root, by which the next layer is fetched ahead


def _sum_small(gradients: Sequence[Tensor]) -> None:
    """In one exchange, as each costs its own delay."""
    if gradients:
        flat = parameters_to_vector(gradients)
        distributed.all_reduce(flat, group=connection(flat.device))
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))


def _sum_of_rows(gradient: Tensor) -> Tensor:
    """The sum of sparse gradients of rows; of each, only the rows that it has are exchanged."""
    own = gradient.coalesce()
    rows, values = own.indices()[0], own.values()  # [n], [n, K]
    counts = _gathered(torch.tensor([len(rows)], device=rows.device))[:, 0]  # [W]
    padding = int(counts.max()) - len(rows)
    rows = _gathered(torch.cat([rows, rows.new_zeros(padding)]))  # [W, n]
    values = _gathered(torch.cat([values, values.new_zeros(padding, *values.shape[1:])]))  # [W, n, K]
    real = torch.arange(rows.shape[1], device=rows.device) < counts[:, None]
    return torch.sparse_coo_tensor(rows[real][None], values[real], gradient.shape).coalesce()


def _gathered(tensor: Tensor) -> Tensor:
    """[W, …] of the processes' tensors of one shape […]."""
    of_all = [torch.empty_like(tensor) for _ in range(world())]
    distributed.all_gather(of_all, tensor.contiguous(), group=connection(tensor.device))
    return torch.stack(of_all)
