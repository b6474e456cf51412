"""The table for eyes: as it stands on the screen, on GitHub and in a paper."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recbole_cllm4rec.report.render import as_latex, as_markdown, as_text
from recbole_cllm4rec.report.significance import Effect
from recbole_cllm4rec.report.table import Cell, Facts, Line, Table

HEAD = {
    "dataset": "toy_set",
    "split": {"train": "8:aa", "test": "2:cc"},
    "seeds": [1, 2],
    "versions": {"torch": ["2.6", "2.7"]},
    "command": "python run_recbole.py --models=EASE,Pop \\\n  --dataset=toy_set",
}
FACTS = Facts([1, 2], 2_345_678, 3725.4, 0.125, 1.25, "NDCG@2 0.2500, epoch 4")


def effect(p_holm: float, d_z: float | None = -0.5) -> Effect:
    return Effect(-0.1, -0.15, -0.05, p_holm / 2, p_holm, d_z)


TABLE = Table(
    head=HEAD,
    metrics=["x@1", "y@1"],
    reference="EASE",
    lines=[
        Line("EASE", {"x@1": Cell(0.5, 0.01, place=1), "y@1": Cell(0.25, 0.0, place=2)}, FACTS),
        Line("EASE", {"x@1": Cell(0.4)}, published=True),
        Line("a_b", {"x@1": Cell(0.2, effect=effect(0.04)), "y@1": Cell(0.3, place=1, effect=effect(0.001))}, FACTS),
        Line("Pop", {}, error="out of memory: set train_batch_size"),
    ],
    notes=["† p < 0.05, ‡ p < 0.01: differs from EASE"],
)


def cells(line: str) -> list[str]:
    """Of one line of a markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def rows_of(markdown: str) -> list[list[str]]:
    return [cells(line) for line in markdown.splitlines() if line.startswith("|")]


# Screen


def test_text() -> None:
    lines = as_text(TABLE).splitlines()
    assert [" ".join(line.split()) for line in lines[:1] + lines[2:6]] == [
        "model x@1 y@1 seeds parameters training (h:mm:ss) scoring (s) memory (GiB) chosen on validation",
        "EASE *0.5000 ±0.0100* _0.2500 ±0.0000_ 2 2.3M 1:02:05 0.12 1.2 NDCG@2 0.2500, epoch 4",
        "EASE (paper) 0.4000 – – – – – – –",
        "a_b 0.2000† *0.3000‡* 2 2.3M 1:02:05 0.12 1.2 NDCG@2 0.2500, epoch 4",
        "Pop out of memory: set train_batch_size",
    ]
    assert lines[6:] == [
        "",
        "*best* and _second_ of the measured rows, those that print alike marked alike",
        "† p < 0.05, ‡ p < 0.01: differs from EASE",
    ]


def test_the_columns_of_the_screen_are_aligned() -> None:
    header, rule, ease, paper, other, _ = as_text(TABLE).splitlines()[:6]
    ends = [match.end() for match in re.finditer("-+", rule)][1:-1]  # of the columns that are flush right
    for line in (header, ease, paper, other):
        assert all(line[end - 1] != " " and line[end : end + 2] == "  " for end in ends)


def test_an_error_does_not_widen_the_columns_of_the_screen() -> None:
    lines = list(TABLE.lines)
    lines[-1] = replace(lines[-1], error="x" * 500)
    wide = as_text(replace(TABLE, lines=lines)).splitlines()
    assert wide[:5] == as_text(TABLE).splitlines()[:5]
    assert wide[5].endswith("x" * 500)


def test_a_name_that_looks_like_a_number() -> None:
    line = replace(TABLE.lines[0], name="1e5")
    assert as_text(replace(TABLE, lines=[line])).splitlines()[2].startswith("1e5  ")


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (345_678, "345.7k"), (2_345_678, "2.3M"), (7_000_000_000, "7.0B")],
)
def test_numbers_of_parameters(number: int, shown: str) -> None:
    line = replace(TABLE.lines[0], facts=replace(FACTS, parameters_trained=number))
    assert as_text(replace(TABLE, lines=[line])).splitlines()[2].split()[6] == shown


# Markdown


def test_markdown_figures() -> None:
    rows = rows_of(as_markdown(TABLE))
    assert rows[2][:4] == ["EASE", "**0.5000 ±0.0100**", "<u>0.2500 ±0.0000</u>", "2"]
    assert rows[3][:4] == ["EASE (paper)", "0.4000", "–", "–"]
    assert rows[4][:3] == [r"a\_b", "0.2000†", "**0.3000‡**"]
    assert rows[5][:3] == ["Pop", r"out of memory: set train\_batch\_size", ""]


def test_markdown_head() -> None:
    assert as_markdown(TABLE).splitlines()[:10] == [
        r"# toy\_set: a comparison",
        "",
        "    python run_recbole.py --models=EASE,Pop \\",
        "      --dataset=toy_set",
        "",
        r"- dataset: toy\_set",
        "- split: train 8:aa, test 2:cc",
        "- seeds: 1, 2",
        "- versions: torch 2.6, 2.7",
        "",
    ]


def test_markdown_differences() -> None:
    section = as_markdown(TABLE).split("## Differences from EASE")[1]
    assert rows_of(section)[2:] == [[r"a\_b", "-0.1000 [-0.1500, -0.0500], -0.50", "-0.1000 [-0.1500, -0.0500], -0.50"]]


def test_markdown_differences_that_are_constant_or_absent() -> None:
    line = Line("Pop", {"x@1": Cell(0.2, effect=effect(0.0, None)), "y@1": Cell(0.2)}, FACTS)
    section = as_markdown(replace(TABLE, lines=[line])).split("## Differences from EASE")[1]
    assert rows_of(section)[2:] == [["Pop", "-0.1000 [-0.1500, -0.0500]", "–"]]


def test_no_differences_no_section() -> None:
    assert "Differences" not in as_markdown(replace(TABLE, lines=TABLE.lines[:2]))


@given(st.text(min_size=1))
@example("a|b")
@example("a\\|b")
@example("two\nlines")
def test_any_name_is_one_cell(name: str) -> None:
    lines = [replace(TABLE.lines[0], name=name), replace(TABLE.lines[3], name=name, error=name)]
    page = as_markdown(replace(TABLE, lines=lines))
    figures, error = [line for line in page.split("\n") if line.startswith("|")][2:4]
    bars = re.compile(r"(?<!\\)(?:\\\\)*\|")  # a bar after an even number of backslashes parts two cells
    assert len(bars.findall(figures)) == len(bars.findall(error)) == 10


# LaTeX


def test_latex() -> None:
    assert as_latex(TABLE).splitlines() == [
        "% dataset: toy_set",
        "% split: train 8:aa, test 2:cc",
        "% seeds: 1, 2",
        "% versions: torch 2.6, 2.7",
        "% python run_recbole.py --models=EASE,Pop \\",
        "%   --dataset=toy_set",
        "% needs booktabs",
        r"\begin{tabular}{lrrrrrrrl}",
        r"\toprule",
        "model & x@1 & y@1 & seeds & parameters & training (h:mm:ss) & scoring (s) & memory (GiB) & "
        r"chosen on validation \\",
        r"\midrule",
        r"EASE & \textbf{0.5000 $\pm$0.0100} & \underline{0.2500 $\pm$0.0000} & 2 & 2.3M & 1:02:05 & 0.12 & 1.2 & "
        r"NDCG@2 0.2500, epoch 4 \\",
        r"EASE (paper) & 0.4000 & -- & -- & -- & -- & -- & -- & -- \\",
        r"a\_b & 0.2000$^\dagger$ & \textbf{0.3000$^\ddagger$} & 2 & 2.3M & 1:02:05 & 0.12 & 1.2 & "
        r"NDCG@2 0.2500, epoch 4 \\",
        r"Pop & \multicolumn{8}{l}{out of memory: set train\_batch\_size} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\footnotesize \textbf{best} and \underline{second} of the measured rows, "
        "those that print alike marked alike",
        r"\par\footnotesize $^\dagger$ p \textless{} 0.05, $^\ddagger$ p \textless{} 0.01: differs from EASE",
    ]


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("50% & more", r"50\% \& more"),
        ("a_b^c~d", r"a\_b\textasciicircum{}c\textasciitilde{}d"),
        ("{\\x}", r"\{\textbackslash{}x\}"),
        ("#1 costs $2", r"\#1 costs \$2"),
        ("LLM-CF, λ=1", "LLM-CF, λ=1"),
    ],
)
def test_names_in_latex(name: str, escaped: str) -> None:
    table = replace(TABLE, lines=[replace(TABLE.lines[0], name=name)])
    assert f"\n{escaped} & " in as_latex(table)


@given(st.text(min_size=1))
def test_any_name_leaves_latex_whole(name: str) -> None:
    lines = [replace(TABLE.lines[0], name=name), replace(TABLE.lines[3], name=name, error=name)]
    written = as_latex(replace(TABLE, lines=lines))
    body = written.split(r"\midrule")[1].split(r"\bottomrule")[0]
    plain = re.sub(r"\$\^\\d?dagger\$|\\.", "", body)  # without marks and what is escaped
    assert plain.count("{") == plain.count("}")
    assert plain.count("&") == 8 + 1
    assert not set("#_~^%") & set(plain)
