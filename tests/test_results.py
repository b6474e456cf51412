"""Tables in the documents are those of the runs that are kept, and the runs are of today's configuration."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from recbole_cllm4rec.cmdline import parse
from recbole_cllm4rec.comparison.plan import plan

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
FINDINGS = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
TESTED = ("cappedrecall@20", "cappedrecall@40", "ndcg@100")
OF_ML_100K = sorted(path for path in RESULTS.rglob("comparison.json") if path.parent.name == "ml-100k")


def tables(text: str, first: str) -> Iterator[list[dict[str, str]]]:
    """Rows by column of the tables whose first column is called so, bold and underlined as plain figures."""
    for lines in re.findall(rf"^\| {first} \|.*\n(?:\|.*\n)+", text, re.MULTILINE):
        header, _, *rows = (
            [re.sub(r"\*\*|</?u>|`", "", cell.strip()) for cell in line.strip("| ").split(" |")]
            for line in lines.splitlines()
        )
        yield [dict(zip(header, row, strict=True)) for row in rows]


def figure(values: list[float]) -> str:
    """Mean and, where runs differ by more than the last digit of a result, standard deviation."""
    spread = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):.4f}" + (f" ±{spread:.4f}" if spread > 2e-6 else "")


def runs(folder: Path, row: str) -> list[dict[str, Any]]:
    paths = (path for path in folder.glob(f"{row}-2*.json") if re.fullmatch(rf"{re.escape(row)}-\d+", path.stem))
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(paths)]


@pytest.mark.parametrize(("number", "dataset"), enumerate(["ml-100k", "amazon-beauty", "amazon-beauty-5core"]))
def test_the_tables_of_the_readme(number: int, dataset: str) -> None:
    rows = [row for row in list(tables(README, "model"))[number] if "(paper)" not in row["model"]]
    assert len(rows) >= 6
    for row in rows:
        kept = runs(RESULTS / dataset, row["model"])
        metrics = [name for name in row if name not in ("model", "seeds")]
        expected = {name: figure([run["test"][name.lower()] for run in kept]) for name in metrics}
        assert {name: row[name] for name in expected} == expected, row["model"]
        assert row.get("seeds", str(len(kept))) == str(len(kept))


def test_figures_in_the_words_of_the_readme() -> None:
    (words,) = re.findall(r"\(\[CappedRecall@20\]\(results/jobs-demo/comparison.md\): (.*); one seed\)", README)
    kept = {row: runs(RESULTS / "jobs-demo", row) for row in ("CLLM4Rec", "TextEASE", "EASE", "Pop")}
    assert words == ", ".join(f"{row} {figure([run['test'][TESTED[0]] for run in of])}" for row, of in kept.items())
    linked = re.findall(r"\[([\d. /]+)\]\((results/\S+\.json)\)", " ".join(README.split()))
    assert len(linked) == 2
    for printed, path in linked:
        tested = json.loads((ROOT / path).read_text(encoding="utf-8"))["test"]
        assert printed == " / ".join(f"{tested[metric]:.4f}" for metric in TESTED)


def row_of_findings(name: str, kept: list[dict[str, Any]]) -> list[str]:
    """Cells of a table in the findings: its name, seeds, validation, and the three metrics at test."""
    tested = [mean(run["test"][metric] for run in kept) for metric in TESTED]
    valid = figure([run["valid"]["paperscore"] for run in kept])
    return [name, str(len(kept)), valid, " / ".join(f"{value:.4f}" for value in tested)]


@pytest.mark.parametrize(("number", "dataset"), enumerate(["ml-100k", "amazon-beauty"]))
def test_the_tables_of_ablations(number: int, dataset: str) -> None:
    rows = list(tables(FINDINGS, "row"))[number]
    assert len(rows) == 10
    for row in rows:
        assert [*row.values()] == row_of_findings(row["row"], runs(RESULTS / "ablation" / dataset, row["row"]))


def test_the_first_table_of_the_findings() -> None:
    (rows,) = tables(FINDINGS, r"`run_recbole.py --dataset=amazon-beauty` …")
    assert len(rows) == 8
    for row in rows:
        command, *_ = row.values()
        asked = dict(re.findall(r"--(\w+)=([\w-]+)", command))
        name = asked.get("run_name") or asked.get("variant") or asked["model"]
        assert [*row.values()] == row_of_findings(command, runs(RESULTS / "amazon-beauty", name))


@pytest.mark.parametrize("path", OF_ML_100K, ids=lambda path: str(path.parent.relative_to(RESULTS)))
def test_kept_runs_are_of_the_configuration_that_their_command_gives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ml-100k, whose files RecBole brings: the command would run none of them again."""
    monkeypatch.chdir(ROOT)
    command = json.loads(path.read_text(encoding="utf-8"))["head"]["command"]
    options = parse(shlex.split(command)[2:])
    models, dataset = options.pop("models"), options.pop("dataset")
    seeds, _ = options.pop("seeds", 1), options.pop("reference", None)
    rows, _ = plan(models.split(","), dataset, seeds, (), options)
    jobs = [job for of_row in rows.values() for job in of_row]
    assert jobs
    assert [job.path for job in jobs if json.loads(job.path.read_text())["config_hash"] != job.digest] == []
