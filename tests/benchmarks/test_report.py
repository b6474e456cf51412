"""Figures of a row by hand, and what is written of them."""

import pytest

from benchmarks.cases import Work
from benchmarks.measure import Timing
from benchmarks.report import Row, chart, ratio, records, table

WORK = Work(documents=20, tokens=1000, operations=4e9)
REFERENCE = Row("minilm", "content", "reference", "float32", WORK, Timing([4.0, 8.0, 2.0], [2e9]), 1.5)
OURS = Row("minilm", "content", "ours", "bfloat16", WORK, Timing([0.5], [16e9]), None)


def test_by_hand():
    assert REFERENCE.milliseconds == 200
    assert REFERENCE.tokens_per_second == 250
    assert REFERENCE.share == 0.5
    assert OURS.milliseconds == 25
    assert OURS.share == 0.5
    assert ratio(OURS, [REFERENCE, OURS]) == 8
    assert ratio(REFERENCE, [REFERENCE, OURS]) == 1


def test_the_table():
    lines = table([REFERENCE, OURS]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == ["minilm", "content", "reference", "float32", "200.00", "1.0", "250", "50%", "1.50"]
    assert cells[3] == ["minilm", "content", "ours", "bfloat16", "25.00", "8.0", "2,000", "50%", ""]


def test_records_hold_every_run():
    record = records([REFERENCE, OURS])[0]
    assert record["timing"] == {"seconds": [4.0, 8.0, 2.0], "rates": [2e9]}
    assert record["ms_per_document"] == pytest.approx(200)
    assert record["work"] == {"documents": 20, "tokens": 1000, "operations": 4e9}


def test_the_chart_is_of_both_kinds_and_the_same_every_time():
    files = chart([REFERENCE, OURS])
    assert files[".png"].startswith(b"\x89PNG")
    assert "<!-- 8.0 × -->".encode() in files[".svg"]
    assert chart([REFERENCE, OURS]) == files
