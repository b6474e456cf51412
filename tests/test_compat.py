"""Every shim: the defect without it, and the cure."""

import importlib
import importlib.util
import inspect
import logging
import pickle
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recbole
import recbole.config
import recbole.data.dataset.dataset as dataset_module
import recbole.trainer.trainer as trainer_module
import recbole.utils.logger as logger_module
import torch
from recbole.model.general_recommender import LightGCN
from recbole.utils import FeatureType
from scipy.sparse import coo_matrix, dok_matrix

from recbole_cllm4rec import compat
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.processes import group


@pytest.fixture
def bare_numpy() -> Iterator[None]:
    """NumPy without the names that RecBole or its shim may have put there."""
    names = ("bool8", "complex", "complex_", "float", "float_", "int", "object", "str", "unicode", "unicode_")
    present = {name: vars(np).pop(name) for name in names if name in vars(np)}
    yield
    for name in names:
        vars(np).pop(name, None)
    vars(np).update(present)


@pytest.mark.usefixtures("bare_numpy")
def test_config_finds_the_names_that_numpy_2_took_away() -> None:
    with pytest.raises(AttributeError, match="float_"):
        recbole.config.Config.compatibility_settings(None)
    compat.numpy_aliases()
    recbole.config.Config.compatibility_settings(None)
    assert np.zeros(1, dtype=np.float).dtype == np.float64  # type: ignore[attr-defined]
    assert np.bool8 is np.bool_  # type: ignore[attr-defined]  # ray reads it when recbole.quick_start is imported


@pytest.mark.usefixtures("bare_numpy")
def test_metrics_work_where_no_config_was_built() -> None:
    from recbole.evaluator.metrics import MRR

    hit = np.array([[False, True]])
    with pytest.raises(AttributeError, match="float"):
        MRR.metric_info(None, hit)
    compat.numpy_aliases()
    assert MRR.metric_info(None, hit).tolist() == [[0, 0.5]]


@pytest.mark.usefixtures("bare_numpy")
def test_names_that_numpy_has_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "float_", "numpy's own", raising=False)
    compat.numpy_aliases()
    assert np.float_ == "numpy's own"  # type: ignore[attr-defined]


def test_lightgcn_builds_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(dok_matrix, "_update", raising=False)
    model = SimpleNamespace(n_users=1, n_items=1, interaction_matrix=coo_matrix(([1.0], ([0], [0])), (1, 1)))
    with pytest.raises(AttributeError, match="_update"):
        LightGCN.get_norm_adj_mat(model)
    compat.dok_update()
    graph = LightGCN.get_norm_adj_mat(model).to_dense()
    # One user and one item, of degree 1 each: 1 / sqrt(1 * 1) between them.
    assert torch.allclose(graph, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), atol=1e-6)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file that, like RecBole's, holds more than weights."""
    path = tmp_path / "model.pth"
    torch.save({"config": SimpleNamespace(epochs=3), "state_dict": {"w": torch.ones(1)}}, path)
    return path


@pytest.mark.parametrize("name", compat._CHECKPOINT_READERS)
def test_recbole_reads_its_own_checkpoints(name: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader: Any = importlib.import_module(name)
    monkeypatch.setattr(reader, "torch", torch)
    with pytest.raises(pickle.UnpicklingError):
        reader.torch.load(checkpoint)
    compat.trusted_checkpoints()
    monkeypatch.setattr(compat, "_TRUSTED", {checkpoint.parent})
    assert reader.torch.load(checkpoint, map_location="cpu")["config"].epochs == 3
    assert reader.torch.Tensor is torch.Tensor


def test_recbole_trusts_no_checkpoint_from_elsewhere(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_TRUSTED", set())
    compat.trust(checkpoint.parent / "saved")
    compat.apply()
    with pytest.raises(
        UserError, match=r"model.pth holds more than weights, and .* move it into checkpoint_dir \(.*saved"
    ):
        trainer_module.torch.load(checkpoint)
    torch.save({"w": torch.ones(1)}, checkpoint)
    assert trainer_module.torch.load(checkpoint)["w"].item() == 1


def test_a_configuration_trusts_its_checkpoint_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_TRUSTED", set())
    Config("Pop", "ml-100k", overrides={"checkpoint_dir": str(tmp_path / "mine")})
    assert {tmp_path / "mine"} == compat._TRUSTED


def test_nobody_else_trusts_a_checkpoint(checkpoint: Path) -> None:
    compat.apply()
    assert torch.load.__module__ == "torch.serialization"
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoint)


def test_every_reader_of_checkpoints_is_listed() -> None:
    root = Path(recbole.__file__).parent
    readers = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for path in root.rglob("*.py")
        if "torch.load(" in path.read_text(encoding="utf-8")
    }
    assert readers - set(compat._CHECKPOINT_READERS) == {"recbole.quick_start.quick_start"}  # not used here
    assert readers >= set(compat._CHECKPOINT_READERS)


@pytest.fixture
def download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What ``Dataset._download`` needs of a dataset; the archive comes from nowhere."""

    def archive(url: str, folder: str) -> str:
        (tmp_path / "toy.zip").touch()
        return str(tmp_path / "toy.zip")

    monkeypatch.setattr(dataset_module, "decide_download", lambda url: True)
    monkeypatch.setattr(dataset_module, "download_url", archive)
    monkeypatch.setattr(dataset_module, "extract_zip", lambda path, folder: None)
    monkeypatch.setattr(dataset_module, "torch", torch)
    return SimpleNamespace(
        config={"local_rank": 0},
        dataset_name="toy",
        dataset_path=str(tmp_path),
        logger=logging.getLogger(),
        _get_download_url=lambda name: "https://example.org/toy.zip",
    )


def test_one_process_downloads_a_dataset(download: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="process group"):
        dataset_module.Dataset._download(download)
    compat.download_without_process_group()
    dataset_module.Dataset._download(download)


def test_several_processes_still_wait_for_the_download(
    download: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "barrier", lambda: waited.append(True))
    compat.download_without_process_group()
    dataset_module.Dataset._download(download)
    assert waited == [True]


def test_missing_values_are_filled_without_a_warning() -> None:
    ratings = pd.DataFrame({"rating": [1.0, np.nan, 3.0]})
    dataset = SimpleNamespace(
        logger=logging.getLogger(),
        feat_name_list=["inter_feat"],
        inter_feat=ratings,
        field2type={"rating": FeatureType.FLOAT},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FutureWarning, match="A value is trying to be set"):
            dataset_module.Dataset._fill_nan(dataset)
        compat.filling_without_warning()
        dataset_module.Dataset._fill_nan(dataset)
    assert ratings["rating"].tolist() == [1, 2, 3]


def test_training_does_not_warn_of_its_grad_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "amp", torch.cuda.amp)
    with pytest.warns(FutureWarning, match="GradScaler"):
        trainer_module.amp.GradScaler(enabled=False)
    compat.current_grad_scaler()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not trainer_module.amp.GradScaler(enabled=False).is_enabled()


def test_stdout_is_wrapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    monkeypatch.setattr(logger_module, "init", inspect.unwrap(logger_module.init))

    def wrapped() -> Any:
        logger_module.init(autoreset=True)
        return sys.stdout

    assert wrapped() is not wrapped()
    compat.one_colour_wrapper()
    assert wrapped() is wrapped()


class Run(dict[str, Any]):
    """As much of a ``Config`` as ``init_logger`` reads."""

    @property
    def final_config_dict(self) -> dict[str, Any]:
        return self


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger, to be used at will, and a folder of its own for RecBole's log."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in set(root.handlers).difference(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(model: str) -> str:
    return "".join(path.read_text() for path in Path("log", model).glob("*.log"))


def test_every_run_has_its_own_log(root: logging.Logger) -> None:
    first, second = (Run(model=model, dataset="toy", state="INFO") for model in ("First", "Second"))
    root.handlers.clear()
    logger_module.init_logger(first)
    logger_module.init_logger(second)
    root.info("lost")
    assert "lost" in logged("First")
    assert logged("Second") == ""
    old = root.handlers[:]

    compat.fresh_logger(second)
    root.info("found")
    assert "found" in logged("Second")
    assert "found" not in logged("First")
    assert not set(old).intersection(root.handlers)
    assert [handler.stream for handler in old if isinstance(handler, logging.FileHandler)] == [None]  # closed


def test_handlers_of_others_stay_and_do_not_prevent_the_log(root: logging.Logger) -> None:
    other = logging.NullHandler()
    root.addHandler(other)
    run = Run(model="Model", dataset="toy", state="INFO")
    logger_module.init_logger(run)
    root.info("lost")
    assert logged("Model") == ""

    compat.fresh_logger(run)
    root.info("found")
    assert "found" in logged("Model")
    assert other in root.handlers


def _imported_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of a module that no shim has seen, in place of the one there is."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_popularity_counts_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _imported_anew("recbole.model.general_recommender.pop", monkeypatch)
    rows = {"item": torch.tensor([1, 2, 1, 1])}

    def counted() -> list[int]:
        model = SimpleNamespace(ITEM_ID="item", n_items=4, device="cpu", item_cnt=torch.zeros(4, 1).long())
        module.Pop.calculate_loss(model, rows)
        return model.item_cnt.flatten().tolist()

    assert counted() == [0, 1, 1, 0]
    compat.popularity_of_all_rows()
    assert counted() == [0, 3, 1, 0]


def test_autograd_looks_for_nan_only_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autograd.set_detect_anomaly(False):
        _imported_anew("recbole.model.sequential_recommender.sine", monkeypatch)
        assert torch.is_anomaly_enabled()
        compat.no_anomaly_detection()
        assert not torch.is_anomaly_enabled()
        torch.autograd.set_detect_anomaly(True)
        compat.no_anomaly_detection()
        assert torch.is_anomaly_enabled()


def test_one_of_several_processes_has_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folders() -> list[str]:
        compat.fresh_logger(config)
        writer = trainer_module.get_tensorboard(logging.getLogger("none of RecBole's"))
        writer.add_scalar("loss", 1.0, 0)
        writer.close()
        return sorted(path.name for path in tmp_path.iterdir())

    config = Config("Pop", "ml-100k", overrides={"gpu_id": ""})
    monkeypatch.chdir(tmp_path)
    compat.tensorboard_of_the_main_process()
    with monkeypatch.context() as patch:
        patch.setattr(group, "_here", group._Here(rank=1, world=2))
        assert folders() == []
    assert folders() == ["log", "log_tensorboard"]


def test_apply_may_be_repeated() -> None:
    def state() -> list[Any]:
        names = sorted(name for name in vars(np) if name in compat._ALIASES)
        modules = [vars(sys.modules[name])["torch"] for name in compat._CHECKPOINT_READERS if name in sys.modules]
        return [names, *modules, trainer_module.amp, dataset_module.torch, logger_module.init, dok_matrix._update]

    compat.apply()
    once = state()
    compat.apply()
    assert all(a is b or a == b for a, b in zip(once, state(), strict=True))
