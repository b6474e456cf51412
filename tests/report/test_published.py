"""Published figures, each held against the source it was taken from."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from recbole_cllm4rec.config_layers import properties_dir, read_yaml
from recbole_cllm4rec.report.published import published, remark

SOURCE = Path(__file__).parents[3] / "shared" / "paper" / "results.yaml"
MATRICES = {"amazon-beauty": "AM-Beauty", "amazon-toys": "AM-Toys", "amazon-sports": "AM-Sports"}
ROWS = {
    "Multi-VAE": "MultiVAE",
    "MD-CVAE": "MDCVAE",
    "BERT4Rec": "DirectBERT4Rec",
    "S3Rec": "DirectS3Rec",
    "BPR": "BPR+text",
    "CLLM4Rec-GPT2": "CLLM4Rec",
    "Two-Tower": "TwoTower",
}
METRICS = {"Recall": "cappedrecall", "NDCG": "ndcg"}
LEAVE_ONE_OUT = {"Recall": "recall", "NDCG": "ndcg", "HR": "hit"}
DATASETS = sorted(read_yaml(properties_dir() / "published.yaml"))
AUTHORS = {
    "split.train": "70614:f87bfb92d2d0f668",
    "split.valid": "11767:df91fd158834bf50",
    "split.test": "11767:eb2a1648e98b2917",
    "history_mask": "train",
    "config.eval_args.mode.test": "full",
}


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    if not SOURCE.is_file():
        pytest.skip(f"{SOURCE} is absent")
    content: dict[str, Any] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    return content


def ours(rows: dict[str, dict[str, float]], names: dict[str, str], metrics: dict[str, str]) -> dict[str, Any]:
    """Rows as printed, in our names."""
    return {
        names.get(name, name): {
            re.sub(r"\w+", lambda m: metrics[m[0]], metric, count=1): x for metric, x in row.items()
        }
        for name, row in rows.items()
    }


# Against the source: nothing else, nothing less


@pytest.mark.parametrize("dataset", MATRICES)
def test_tables_1_and_4(dataset: str, source: dict[str, Any]) -> None:
    first = ours(source["table1_public_datasets"][MATRICES[dataset]], ROWS, METRICS)
    fourth = ours(source["table4_backbones"]["data"][MATRICES[dataset]], ROWS, METRICS)
    assert published(dataset) == first | fourth == fourth | first


@pytest.mark.parametrize(("dataset", "theirs"), [("yelp", "Yelp"), ("linkedin", "LinkedIn")])
def test_table_2(dataset: str, theirs: str, source: dict[str, Any]) -> None:
    assert published(dataset) == ours(source["table2_linkedin_and_yelp"][theirs], ROWS, METRICS)


@pytest.mark.parametrize("name", ["Beauty", "Toys", "Sports"])
def test_leave_one_out(name: str, source: dict[str, Any]) -> None:
    rows = {model: figures[name] for model, figures in source["leave_one_out_full_ranking"]["data"].items()}
    assert published(f"amazon-{name.lower()}-5core") == ours(rows, {"S3-Rec": "S3Rec"}, LEAVE_ONE_OUT)


@pytest.mark.parametrize("name", ["Instruments", "Arts", "Games"])
def test_lc_rec(name: str, source: dict[str, Any]) -> None:
    rows: dict[str, dict[str, float]] = {}
    for metric, figures in source["lc_rec"][name].items():
        for model, figure in figures.items():
            rows.setdefault(model, {})[metric] = figure
    tasks = ""
    for task, figure in source["lc_rec"]["ablation_NDCG@10"].get(name, {}).items():
        tasks += task
        if task == "+PER":  # all tasks: LC-Rec itself
            assert figure == rows["LC-Rec"]["NDCG@10"]
        else:
            rows[f"LC-Rec-{tasks}"] = {"NDCG@10": figure}
    assert published(f"amazon-{name.lower()}") == ours(rows, {"S3-Rec": "S3Rec"}, LEAVE_ONE_OUT)


# What ships


@pytest.mark.parametrize("dataset", DATASETS)
def test_figures_are_shares_of_known_metrics(dataset: str) -> None:
    for figures in published(dataset).values():
        for metric, figure in figures.items():
            assert re.fullmatch(r"(cappedrecall|recall|hit|ndcg)@\d+", metric)
            assert 0 < figure < 1


def test_the_papers_recall_is_capped() -> None:
    assert published("amazon-beauty")["CLLM4Rec"] == {
        "cappedrecall@20": 0.1656,
        "cappedrecall@40": 0.2323,
        "ndcg@100": 0.1118,
    }


def test_a_dataset_that_no_paper_has() -> None:
    assert published("ml-100k") == {}


def test_what_is_read_once_is_not_changed_by_its_readers() -> None:
    published("yelp")["EASE"] = {}
    published("yelp")["CLLM4Rec"].clear()
    assert "EASE" not in published("yelp")
    assert published("yelp")["CLLM4Rec"]


# When figures are comparable


def test_remarks() -> None:
    beauty = (
        "CLLM4Rec, WWW 2024 (arXiv 2311.01343), tables 1 and 4; "
        "comparable with runs on the authors' own split that mask the items of training alone: "
    )
    assert remark("amazon-beauty", AUTHORS) == f"{beauty}these are such runs"
    assert remark("amazon-beauty", {**AUTHORS, "history_mask": "train+valid"}) == f"{beauty}these are other runs"
    assert remark("amazon-beauty", {**AUTHORS, "split.test": "11767:0"}) == f"{beauty}these are other runs"
    assert remark("amazon-toys", AUTHORS) == f"{beauty}whether these are such runs cannot be told here"


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_remark_names_a_paper_in_one_line(dataset: str) -> None:
    assert re.fullmatch(r".*arXiv \d{4}\.\d{5}.*; comparable with runs on .*: [^\n]*", remark(dataset, {}))
