"""RecBole 1.2.1 on today's numpy, scipy, pandas and torch: a small function per defect, and :func:`apply` for all.

Every shim may be applied any number of times. Tests show each defect without its shim.
"""

import functools
import logging
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import recbole.data.dataset.dataset
import recbole.trainer.trainer
import recbole.utils.logger
import torch
from scipy.sparse import dok_matrix

from recbole_cllm4rec import processes
from recbole_cllm4rec.errors import UserError

_ALIASES = {  # ray's tensorboard logger wants bool8
    "bool8": np.bool_,
    "complex_": np.complex128,
    "float": np.float64,
    "float_": np.float64,
    "str": np.str_,
    "unicode_": np.str_,
}
_CHECKPOINT_READERS = (
    "recbole.trainer.trainer",
    "recbole.model.context_aware_recommender.kd_dagfm",
    "recbole.model.general_recommender.convncf",
    "recbole.model.general_recommender.nais",
    "recbole.model.general_recommender.neumf",
    "recbole.model.general_recommender.ract",
    "recbole.model.sequential_recommender.s3rec",
)

_TRUSTED: set[Path] = set()


def apply() -> None:
    """Apply every shim. Call it again when further modules of RecBole have been imported."""
    numpy_aliases()
    dok_update()
    trusted_checkpoints()
    download_without_process_group()
    filling_without_warning()
    current_grad_scaler()
    one_colour_wrapper()
    popularity_of_all_rows()
    no_anomaly_detection()
    tensorboard_of_the_main_process()


def numpy_aliases() -> None:
    """NumPy 2 lacks names that ``Config.compatibility_settings`` (config/configurator.py) reads to define others.

    Of those others, metrics and interactions read ``np.float`` and the tuner ``np.str``, even where a ``Config`` was
    unpickled and none was built.
    """
    for name, scalar in _ALIASES.items():
        if name not in vars(np):
            setattr(np, name, scalar)


def dok_update() -> None:
    """SciPy 1.13 took away ``dok_matrix._update``, with which LightGCN, NGCF, NCL and others fill their graphs."""
    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda self, entries: self._dict.update(entries)


def trusted_checkpoints() -> None:
    """Torch 2.6 loads weights only, but RecBole's checkpoints pickle their ``Config`` (trainer/trainer.py).

    The modules that read such checkpoints, as far as they are imported, get a ``torch`` whose ``load`` trusts files in
    folders that :func:`trust` was told. ``torch.load`` stays as it is for everybody else.
    """
    for name in _CHECKPOINT_READERS:
        if module := sys.modules.get(name):
            _overlay(module, "torch", load=load_checkpoint)


def trust(folder: str | Path) -> None:
    """Let RecBole load the checkpoints in ``folder``, which may run code of whoever wrote them: it is one's own."""
    _TRUSTED.add(Path(folder).resolve())


def download_without_process_group() -> None:
    """``Dataset._download`` (data/dataset/dataset.py) ends at a barrier, for which one process alone has no group.

    Of several of ours, one downloads before the others look.
    """
    module = recbole.data.dataset.dataset
    _overlay(module, "torch", distributed=_Overlay(torch.distributed, barrier=_barrier))


def filling_without_warning() -> None:
    """``Dataset._fill_nan`` (data/dataset/dataset.py) fills a column in place, which pandas 2 does with a warning."""
    warnings.filterwarnings("ignore", "A value is trying to be set", FutureWarning, r"recbole\.data\.dataset\.dataset")


def current_grad_scaler() -> None:
    """``Trainer._train_epoch`` makes a ``torch.cuda.amp.GradScaler``, deprecated since torch 2.4: it warns."""
    _overlay(recbole.trainer.trainer, "amp", GradScaler=functools.partial(torch.amp.GradScaler, "cuda"))


def one_colour_wrapper() -> None:
    """Every ``init_logger`` (utils/logger.py) wraps stdout once more, till hundreds of runs exhaust the call stack."""
    module = recbole.utils.logger
    if not hasattr(module.init, "cache_info"):
        module.init = functools.cache(module.init)


def popularity_of_all_rows() -> None:
    """``Pop.calculate_loss`` (general_recommender/pop.py) adds one to ``item_cnt[items]``, once a batch for an item.

    However often it stands in the batch, that is.
    """
    if module := sys.modules.get("recbole.model.general_recommender.pop"):
        module.Pop.calculate_loss = _count


def no_anomaly_detection() -> None:
    """Importing any sequential model imports SINE (sequential_recommender/sine.py), which has autograd look for nan.

    It does so in every step of every model of the process. Turned off once; after that, who turns it on means it.
    """
    module = sys.modules.get("recbole.model.sequential_recommender.sine")
    if module and not isinstance(module.torch, _Overlay):
        torch.autograd.set_detect_anomaly(False)
        _overlay(module, "torch")


def tensorboard_of_the_main_process() -> None:
    """Every ``Trainer`` (trainer/trainer.py) opens a folder for tensorboard, in each of several processes."""
    recbole.trainer.trainer.get_tensorboard = _tensorboard


def _tensorboard(logger: Any) -> Any:
    return recbole.utils.get_tensorboard(logger) if processes.is_main() else _Unwritten()


class _Unwritten:
    """In place of a writer: whatever it is told, it does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None


def _count(self: Any, interaction: Any) -> torch.Tensor:
    self.item_cnt += torch.bincount(interaction[self.ITEM_ID], minlength=self.n_items)[:, None]
    self.max_cnt = self.item_cnt.max(dim=0)[0]
    return torch.zeros(1, device=self.device, requires_grad=True)


def fresh_logger(config: Any) -> None:
    """RecBole's ``init_logger``, which alone leaves the handlers of the first run in a process to all later ones.

    It relies on ``logging.basicConfig``, which does nothing where the root logger has a handler. Handlers that RecBole
    made are closed; others, a notebook's or a test's, stay. Of several processes, the main one logs.
    """
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not _made_by_recbole(handler)]
    for handler in set(root.handlers).difference(others):
        handler.close()
    root.handlers.clear()
    try:
        if processes.is_main():
            recbole.utils.logger.init_logger(config)
        else:
            root.addHandler(logging.NullHandler())
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; the logs of runs go to ./log") from None
    finally:
        root.handlers += others


class _Overlay:
    """A module with some of its names replaced, for one importer alone."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _overlay(importer: Any, module: str, **names: Any) -> None:
    """Let ``importer`` see ``names`` in the module that it imported as ``module``."""
    seen = getattr(importer, module)
    if not isinstance(seen, _Overlay):
        setattr(importer, module, _Overlay(seen, **names))


def load_checkpoint(file: Any, *args: Any, **options: Any) -> Any:
    """``torch.load``, which trusts files in folders that :func:`trust` was told; :class:`UserError` for others."""
    path = Path(file).resolve()
    if any(path.is_relative_to(folder) for folder in _TRUSTED):
        return torch.load(file, *args, **{**options, "weights_only": False})
    try:
        return torch.load(file, *args, **options)
    except pickle.UnpicklingError:
        raise UserError(
            f"{file} holds more than weights, and loading it may run code of whoever wrote it: if you trust them, move "
            f"it into checkpoint_dir ({', '.join(map(str, sorted(_TRUSTED)))})"
        ) from None


def _barrier() -> None:
    if torch.distributed.is_initialized() and processes.world() == 1:
        torch.distributed.barrier()


def _made_by_recbole(handler: logging.Handler) -> bool:
    logger = recbole.utils.logger
    colourless = any(isinstance(rule, logger.RemoveColorFilter) for rule in handler.filters)
    return colourless or isinstance(handler.formatter, logger.colorlog.ColoredFormatter)
