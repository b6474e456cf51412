"""The printed row, character by character; what a comparison says of its rows."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest
from runs import failed, result
from runs import row as row_of

from recbole_cllm4rec.report.rows import Row
from recbole_cllm4rec.report.table import Cell, Facts, Table, as_csv, as_dict, lay_out, row

RESULT = {"run": "CLLM4Rec, frozen", "test": {"recall@20": 0.123456, "ndcg@100": 12.0, "paperscore": -0.00004}}


def test_row() -> None:
    assert row(RESULT, ["ndcg@100", "recall@20"]) == (
        "model                    ndcg@100        recall@20\nCLLM4Rec, frozen          12.0000           0.1235"
    )


def test_a_short_name_is_as_wide_as_its_header() -> None:
    assert row({"run": "Pop", "test": {"paperscore": 0.5}}, ["paperscore"]) == (
        "model       paperscore\nPop             0.5000"
    )


def test_what_was_not_measured_is_left_out() -> None:
    assert row(RESULT, ["cappedrecall@20", "paperscore"]) == (
        "model                  paperscore\nCLLM4Rec, frozen          -0.0000"
    )


def test_where_nothing_of_it_was_measured_all_is_shown() -> None:
    everything = row(RESULT, list(RESULT["test"]))
    assert row(RESULT, ["auc"]) == row(RESULT, []) == everything
    assert everything.splitlines()[0] == "model                   recall@20         ndcg@100       paperscore"


def test_an_empty_evaluation_is_a_name() -> None:
    assert row({"run": "Pop", "test": {}}, ["ndcg@100"]) == "model\nPop  "


# Comparisons


def laid_out(rows: list[Row], metrics: list[str], reference: str = "EASE", **published: dict[str, float]) -> Table:
    return lay_out(rows, reference, metrics, {"users": 2}, published, "a paper")


def places(rows: list[Row], metric: str = "x@1", **published: dict[str, float]) -> dict[str, int]:
    return {line.label: line.cells[metric].place for line in laid_out(rows, [metric], **published).lines if line.cells}


def flat(name: str, figure: float, metric: str = "x@1") -> Row:
    return row_of(name, {metric: [figure, figure]})


def test_best_and_second() -> None:
    rows = [flat("EASE", 0.2), flat("Pop", 0.1), flat("BPR", 0.3), flat("FM", 0.15)]
    assert places(rows) == {"EASE": 2, "Pop": 0, "BPR": 1, "FM": 0}


def test_what_prints_alike_is_marked_alike() -> None:
    rows = [flat("EASE", 0.20001), flat("Pop", 0.19999), flat("BPR", 0.1999), flat("FM", 0.19994), flat("GRU", 0.1)]
    assert places(rows) == {"EASE": 1, "Pop": 1, "BPR": 2, "FM": 2, "GRU": 0}


def test_a_lone_row_is_the_best() -> None:
    assert places([flat("EASE", 0.2)]) == {"EASE": 1}


def test_less_is_better_for_some_metrics() -> None:
    rows = [flat("EASE", 0.2, "giniindex@1"), flat("Pop", 0.1, "giniindex@1"), flat("BPR", 0.3, "giniindex@1")]
    assert places(rows, "giniindex@1") == {"EASE": 2, "Pop": 1, "BPR": 0}


def test_no_paper_and_no_failure_takes_a_mark() -> None:
    rows = [flat("EASE", 0.2), failed("Pop"), flat("BPR", 0.1)]
    assert places(rows, EASE={"x@1": 0.9}, FM={"x@1": 0.15}) == {
        "EASE": 1,
        "EASE (paper)": 0,
        "BPR": 2,
        "FM (paper)": 0,
    }


def test_a_published_row_stands_below_ours() -> None:
    rows = [failed("Pop"), flat("EASE", 0.2)]
    table = laid_out(rows, ["x@1"], FM={"x@1": 0.1}, EASE={"x@1": 0.3}, Pop={"x@1": 0.4}, SVD={"y@1": 0.5})
    assert [line.label for line in table.lines] == ["Pop", "Pop (paper)", "EASE", "EASE (paper)", "FM (paper)"]
    assert table.notes[-1] == "(paper): a paper"


def test_no_published_row_no_note() -> None:
    assert "(paper)" not in "".join(laid_out([flat("EASE", 0.2)], ["x@1"], SVD={"y@1": 0.5}).notes)


def test_means_and_deviations_over_seeds() -> None:
    rows = [
        row_of("EASE", {"x@1": [0.0, 0.5]}),
        row_of("BPR", {"x@1": [0.0, 0.5]}, {"x@1": [0.5, 1.0]}),  # 1/4 and 3/4: √(2 · (1/4)²)
        row_of("Pop", {"x@1": [0.0, 0.5]}, {"x@1": [0.0, 0.5]}),
    ]
    cells = [line.cells["x@1"] for line in laid_out(rows, ["x@1"]).lines]
    assert [cell.mean for cell in cells] == [0.25, 0.5, 0.25]
    assert [cell.std for cell in cells] == [None, pytest.approx(math.sqrt(1 / 8)), 0.0]


def test_effects_are_against_the_reference() -> None:
    rows = [row_of("EASE", {"x@1": [0.0, 0.5]}), row_of("BPR", {"x@1": [0.5, 0.5]})]
    table = laid_out(rows, ["x@1"], "BPR")
    ease, bpr = (line.cells["x@1"].effect for line in table.lines)
    assert bpr is None
    assert ease is not None
    assert ease.mean == -0.25
    assert any("differs from BPR" in note and "over 2 users" in note for note in table.notes)


@pytest.mark.parametrize(
    ("rows", "reference"),
    [([flat("EASE", 0.2)], "EASE"), ([flat("EASE", 0.2), failed("Pop")], "Pop")],
)
def test_where_nothing_is_compared_it_says_so(rows: list[Row], reference: str) -> None:
    table = laid_out(rows, ["x@1"], reference)
    assert table.lines[0].cells["x@1"].effect is None
    assert f"no test of differences: {reference} has no figures of users, or stands alone" in table.notes


def test_a_metric_without_figures_of_users() -> None:
    bare = [replace(flat(name, 0.2), per_user={}) for name in ("EASE", "Pop")]
    cell = laid_out(bare, ["x@1"]).lines[1].cells["x@1"]
    assert cell == Cell(0.2, place=1)


def test_facts() -> None:
    first = result("EASE", 3, {"x@1": 0.5}, seconds={"model": 10, "training": 50, "scoring": 1}, peak_memory_gib=1.0)
    second = result("EASE", 5, {"x@1": 0.5}, seconds={"model": 0, "training": 90, "scoring": 2}, peak_memory_gib=3.0)
    facts = laid_out([Row("EASE", [first, second], {}), failed("Pop")], ["x@1"]).lines[0].facts
    assert facts == Facts([3, 5], 1234, 75.0, 1.5, 3.0, "NDCG@2 0.2500")


@pytest.mark.parametrize(
    ("epochs", "valid", "expected"),
    [
        ([4], {"ndcg@2": 0.25}, "NDCG@2 0.2500, epoch 5"),
        ([4, 4], {"ndcg@2": 0.25}, "NDCG@2 0.2500, epoch 5"),
        ([4, 1], {"ndcg@2": 0.25}, "NDCG@2 0.2500, epoch 2 to 5"),
        ([4], {}, "nothing"),
    ],
)
def test_what_validation_chose(epochs: list[int], valid: dict[str, float], expected: str) -> None:
    results = [
        result(valid=valid, test={"x@1": 0.5}, history=[{"stage": "training", "epoch": epoch, "valid score": 0.25}])
        for epoch in epochs
    ]
    (line,) = laid_out([Row("EASE", results, {})], ["x@1"]).lines
    assert line.facts is not None
    assert line.facts.chosen == expected


# For machines


def example() -> Table:
    rows = [row_of("EASE", {"x@1": [0.0, 0.5]}), row_of('a,"b"', {"x@1": [0.5, 0.5]}, {"x@1": [0, 0]}), failed("Pop")]
    return laid_out(rows, ["x@1"], EASE={"x@1": 0.3})


def test_csv() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(example()))))
    assert [(line["row"], line["source"], line["metric"]) for line in lines] == [
        ("EASE", "measured", "x@1"),
        ("EASE", "paper", "x@1"),
        ('a,"b"', "measured", "x@1"),
        ("Pop", "measured", ""),
    ]
    ease, paper, other, pop = lines
    assert (ease["mean"], ease["std"], ease["seeds"], ease["effect_p"]) == ("0.25", "", "1", "")
    assert (paper["mean"], paper["std"], paper["seeds"]) == ("0.3", "", "")
    assert (other["seeds"], other["effect_mean"], float(other["std"])) == ("2", "0.0", pytest.approx(math.sqrt(1 / 8)))
    assert {other[f"effect_{name}"] for name in ("low", "high", "p", "p_holm", "d_z")} >= {"1.0", "0.0"}
    assert (pop["error"], pop["mean"]) == ("out of memory", "")


def test_csv_keeps_every_digit() -> None:
    (line,) = csv.DictReader(io.StringIO(as_csv(laid_out([flat("EASE", 1 / 3)], ["x@1"]))))
    assert float(line["mean"]) == 1 / 3


def test_json() -> None:
    found = json.loads(json.dumps(as_dict(example()), allow_nan=False))
    assert list(found) == ["head", "metrics", "rows", "notes"]
    assert [(line["name"], line["published"]) for line in found["rows"]] == [
        ("EASE", False),
        ("EASE", True),
        ('a,"b"', False),
        ("Pop", False),
    ]
    assert found["rows"][2]["cells"]["x@1"]["effect"]["mean"] == 0.0
    assert found["rows"][3] == {"name": "Pop", "cells": {}, "error": "out of memory", "published": False}
