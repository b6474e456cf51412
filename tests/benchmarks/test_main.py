"""The command from end to end, on small sizes."""

import json
from functools import partial

import pytest

from benchmarks import __main__ as command
from benchmarks import measure, run
from benchmarks.run import long_memory, memory_of_side
from benchmarks.workload import backbone_folder


@pytest.fixture(autouse=True)
def small(monkeypatch, lengths, sizes):
    monkeypatch.setattr(command, "backbone_folder", partial(backbone_folder, **sizes))
    monkeypatch.setattr(run, "read_lengths", lambda name: lengths)
    monkeypatch.setattr(measure, "matrix_rate", lambda dtype, device: 1e9)  # takes longer than all else here


def test_a_table_json_and_a_chart(tmp_path, capsys):
    options = "--backbone=gpt2-size --only=content,scoring --runs=2 --documents=25 --precision=float32 --device=cpu"
    command.main([*options.split(), "--threads=1", "--no-memory", f"--out={tmp_path / 'out'}"])
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "out/benchmarks.json").read_text())
    rows = content["rows"]
    assert [(row["case"], row["side"]) for row in rows] == [
        (case, side) for case in ("content", "scoring") for side in ("reference", "ours")
    ]
    assert all(len(row["timing"]["seconds"]) == 2 for row in rows)
    assert rows[0]["work"] == rows[1]["work"]
    assert rows[0]["work"]["documents"] == 21  # there are no more
    assert content["machine"]["threads"] == 1
    assert printed.strip() == (tmp_path / "out/benchmarks.md").read_text().strip()
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".md", ".png", ".svg"}


@pytest.mark.parametrize("wrong", ["--only=contents", "--backbone=gpt3", "--runs=0", "--runs=many"])
def test_a_mistake_is_told_with_what_is_legal(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main([wrong])
    assert stop.value.code == 2
    assert repr(wrong.partition("=")[2]) in capsys.readouterr().err


@pytest.mark.parametrize("side", ["reference", "ours"])
def test_memory_of_every_case(side, small_gpt2, settings):
    found = memory_of_side(side, "gpt2-size", small_gpt2, settings)
    assert list(found) == settings.cases
    assert all(0.05 < gib < 8 for gib in found.values())


def test_memory_of_long_documents(small_gpt2, settings, monkeypatch, lengths):
    monkeypatch.setattr(run, "LONG_BATCH", 3)
    found = long_memory("gpt2-size", small_gpt2, settings)
    assert 0.05 < found["content"] < 8
