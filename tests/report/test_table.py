"""The printed row, character by character."""

from recbole_cllm4rec.report.table import row

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
