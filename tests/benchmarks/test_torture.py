"""A short torture, of each kind of trouble some; and that the long one would notice a difference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import killing, troubles
from benchmarks.saving import SIZES, measure
from benchmarks.torture import table, torture
from recbole_cllm4rec.checkpoint import store


def test_nothing_differs_whatever_the_trouble(tmp_path: Path) -> None:
    rows = list(torture(tmp_path, kills=2, deaths=2, seed=0, users=16, items=10, epochs=1))
    assert [row.differences for row in rows] == [[]] * 6
    assert [row.times for row in rows][2:] == [1, 1, 1, 2]
    assert "could not be saved" in rows[4].notes[0]
    assert table(rows).count("\n") == 7


@pytest.mark.parametrize("moment", [1, 2, 3, 9, 15, 16, 40])
def test_a_process_dies_inside_a_save_at_the_moment_asked_for(moment: int, tmp_path: Path) -> None:
    child = killing.processes.Process(target=troubles.save_till_death, args=(moment, tmp_path))
    child.start()
    child.join()
    assert child.exitcode == -9
    left = store.newest(tmp_path)
    # Two files of content and their manifest, then three syncs of them and one of the folder: the name is the 8th step.
    assert (left is None) == (moment < 2 * 8)


def test_a_difference_in_a_bit_is_seen(tmp_path: Path) -> None:
    place = killing.Workplace(tmp_path, {})
    results: list[dict[str, Any]] = []
    for name, value in (("a", 1.0), ("b", 1.0 + 2**-23)):
        save_file({"w": torch.tensor([value])}, tmp_path / name)
        result = {"test": {"ndcg@5": 0.5}, "valid": {}, "split": {}, "history": [{"loss": 1.0, "seconds": value}]}
        results.append({**result, "weights": name})
    assert load_file(tmp_path / "a")["w"].item() != load_file(tmp_path / "b")["w"].item()
    assert killing.differences(place, results[0], place, results[0]) == []
    assert killing.differences(place, results[0], place, results[1]) == ["w"]
    other = {**results[0], "history": [{"loss": 1.5, "seconds": 1.0}], "test": {"ndcg@5": 0.4}}
    assert killing.differences(place, results[0], place, other) == ["test", "epoch 0 loss"]


def test_what_a_save_costs_is_measured(tmp_path: Path) -> None:
    row = measure(next(iter(SIZES)), tmp_path, runs=1, minutes=10)
    assert row["MiB"] == pytest.approx(2 * 4 * (944 + 1683) * 384 * 4 / 2**20, rel=0.01)
    assert 0 < row["% of the time"] <= 1
