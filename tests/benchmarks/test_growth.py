"""The benchmark of growth at sizes of a test: it runs, and its rows say what was measured."""

import json

import pytest
import torch

from benchmarks import growth


@pytest.mark.parametrize(("lazy", "sampled"), [(False, False), (True, False), (True, True)])
def test_a_step_of_every_kind(lazy, sampled, monkeypatch):
    monkeypatch.setattr(growth, "DRAWN", 5)
    row = growth.step(50, 40, lazy, sampled, repeats=2)
    assert (row["users"], row["items"]) == (50, 40)
    assert row["milliseconds"] > 0


def test_ranking(monkeypatch):
    monkeypatch.setattr(growth, "USERS_RANKED", 3)
    row = growth.ranking(200, torch.float32, repeats=2)
    assert row["users a second"] > 0
    assert row["share of the matrix rate"] > 0


def test_the_two_likelihoods_are_one_where_all_items_are_drawn(monkeypatch):
    monkeypatch.setattr(growth, "DRAWN", 100)
    view = growth.View(growth.ExtendedVocabulary(0, 2, 40), 4, sparse=True)
    view.items.data[0] = -1e6  # the padding item, which is never drawn, has no share of a full softmax
    states, targets = torch.rand(2, 4) + 1, torch.tensor([1, 2, 3, 3])
    full, sampled = (loss(view.rows(), states, targets) for loss in (growth.full_likelihood, growth.sampled_likelihood))
    torch.testing.assert_close(sampled, full)


def test_the_command_writes_its_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth.multiprocessing, "get_context", lambda kind: Here)
    monkeypatch.setattr(growth, "MEASURES", {"small": growth.partial(growth.step, 50, 40, True, False), "other": None})
    out = tmp_path / "new" / "growth.json"
    growth.main(["--only=small", "--repeats=1", f"--threads={torch.get_num_threads()}", f"--out={out}"])
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["name"], row["Adam"], row["softmax"]) == ("small", "lazy", "full")
    assert "milliseconds" in capsys.readouterr().out


class Here:
    """In place of a context of processes: what is asked for is done at once."""

    def __init__(self, size: int):
        pass

    Pool = classmethod(lambda cls, size: cls(size))

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @staticmethod
    def apply(function, arguments):
        return function(*arguments)
