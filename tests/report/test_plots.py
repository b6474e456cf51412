"""Charts: what stands in them, and that equal input gives equal bytes."""

import html
import re
import struct
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from runs import failed, result, row

from recbole_cllm4rec.report.plots import comparison_chart, validation_curves
from recbole_cllm4rec.report.rows import Row
from recbole_cllm4rec.report.table import Table, lay_out

ROWS = [
    row("Pop", {"x@1": [0.0, 0.25, 0.0], "y@1": [0, 0.5, 0]}),
    row("EASE", {"x@1": [0.5, 0.25, 1.0], "y@1": [0, 0, 0]}),
    failed("BPR"),
    row("CLLM4Rec", {"x@1": [0.5, 0.25, 0.5], "y@1": [1, 0.5, 0]}),
]
CURVE = [
    {"stage": "content", "epoch": 0, "seconds": 1.0, "content loss": 3.0},
    {"stage": "pretraining", "epoch": 0, "collaborative loss": 5.0, "content loss": 2.5},
    {"stage": "pretraining", "epoch": 1, "collaborative loss": 4.0, "content loss": 2.0},
    {"stage": "finetuning", "epoch": 0, "recommendation loss": 4.0},
    {"stage": "finetuning", "epoch": 1, "recommendation loss": 3.0, "valid score": 0.2},
    {"stage": "finetuning", "epoch": 3, "recommendation loss": 2.0, "valid score": 0.3},
    {"stage": "finetuning", "epoch": 5, "recommendation loss": 1.0, "valid score": 0.25},
]


def table(rows: list[Row] = ROWS, metrics: tuple[str, ...] = ("x@1", "y@1"), **published: dict[str, float]) -> Table:
    return lay_out(rows, "CLLM4Rec", metrics, {"users": 3, "dataset": "toy"}, published, "a paper")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The chart of the rows above."""
    return comparison_chart(table())


def words(svg: bytes) -> list[str]:
    """The text of a chart in the order of drawing, which matplotlib notes beside the outlines of the letters."""
    return re.findall("<!-- (.*?) -->", svg.decode())


def width(png: bytes) -> int:
    size: int = struct.unpack(">I", png[16:20])[0]
    return size


# Comparisons


def test_kinds_of_files(files: dict[str, bytes]) -> None:
    assert list(files) == [".png", ".svg"]
    assert files[".png"].startswith(b"\x89PNG")
    assert ElementTree.fromstring(files[".svg"]).tag == "{http://www.w3.org/2000/svg}svg"


def test_equal_tables_give_equal_bytes_that_name_no_day(files: dict[str, bytes]) -> None:
    assert comparison_chart(table()) == files
    assert b"dc:date" not in files[".svg"]


def test_models_stand_in_the_order_of_the_first_metric(files: dict[str, bytes]) -> None:
    drawn = words(files[".svg"])
    names = [word for word in drawn if word in {"Pop", "EASE", "BPR", "CLLM4Rec"}]
    assert names == ["Pop", "CLLM4Rec", "EASE"]  # bottom to top, named once; BPR failed
    assert [word for word in drawn if "@" in word] == ["x@1", "y@1"]


def test_fewer_is_on_top_where_fewer_is_better() -> None:
    rows = [row("Pop", {"giniindex@1": [0.5, 0.5]}), row("CLLM4Rec", {"giniindex@1": [0.25, 0.25]})]
    drawn = words(comparison_chart(table(rows, ("giniindex@1",)))[".svg"])
    assert [word for word in drawn if word in {"Pop", "CLLM4Rec"}] == ["Pop", "CLLM4Rec"]


def test_published_figures_share_the_line_of_ours() -> None:
    printed = {"EASE": {"x@1": 0.9}, "BPR": {"y@1": 0.1}, "FM": {"x@1": 0.1}}
    drawn = words(comparison_chart(table(**printed))[".svg"])
    names = [word for word in drawn if word.removesuffix(" (paper)") in {"Pop", "EASE", "BPR", "CLLM4Rec", "FM"}]
    assert names == ["BPR (paper)", "Pop", "FM (paper)", "CLLM4Rec", "EASE"]
    assert "printed in a paper" in drawn


def test_without_published_figures_no_legend_speaks_of_them(files: dict[str, bytes]) -> None:
    drawn = words(files[".svg"])
    assert "CLLM4Rec, reference" in drawn
    assert "printed in a paper" not in drawn


@pytest.mark.parametrize("n", [1, 6])
def test_any_number_of_metrics(n: int) -> None:
    metrics = tuple(f"m{k}@1" for k in range(n))
    files = comparison_chart(table([row("CLLM4Rec", {metric: [0, 1] for metric in metrics})], metrics))
    assert [word for word in words(files[".svg"]) if "@" in word] == list(metrics)
    assert width(files[".png"]) == 150 * (2 + 2.2 * min(n, 5))


def test_a_metric_without_figures_of_users() -> None:
    bare = Row("CLLM4Rec", [result(test={"x@1": 0.5})], {})
    assert "x@1" in words(comparison_chart(table([bare], ("x@1",)))[".svg"])


@pytest.mark.parametrize("name", ["$a_b$", r"$\nothing{$", "λ & <b>"])
def test_names_are_no_formulas(name: str) -> None:
    drawn = words(comparison_chart(table([row(name, {"x@1": [0, 1]})], ("x@1",)))[".svg"])
    assert html.escape(name, quote=False) in drawn


def test_the_settings_of_matplotlib_are_neither_read_nor_changed(files: dict[str, bytes]) -> None:
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "none"}):
        assert comparison_chart(table()) == files
        assert (mpl.rcParams["font.size"], mpl.rcParams["svg.fonttype"]) == (30, "none")


# Curves


def test_a_panel_a_stage() -> None:
    drawn = words(validation_curves(result("LLM-CF", history=CURVE))[".svg"])
    stages = [word for word in drawn if word in {"content", "pretraining", "finetuning"}]
    assert stages == ["content", "pretraining", "finetuning"]
    assert drawn.count("training loss") == 2
    assert drawn.count("NDCG@2, validation") == drawn.count("kept") == 1
    assert [word for word in drawn if word.endswith(" loss") and word != "training loss"] == [
        "content loss",
        "collaborative loss",
        "content loss",
    ]
    assert "LLM-CF, seed 1, toy" in drawn


def test_curves_are_files_of_equal_bytes() -> None:
    files = validation_curves(result(history=CURVE))
    assert list(files) == [".png", ".svg"]
    assert validation_curves(result(history=CURVE)) == files


@pytest.mark.parametrize("records", [CURVE[:1], CURVE[4:5]])
def test_one_epoch(records: list[dict[str, Any]]) -> None:
    assert "epoch" in words(validation_curves(result(history=records))[".svg"])


def test_no_epochs_no_curves() -> None:
    assert validation_curves(result(history=[])) == {}
