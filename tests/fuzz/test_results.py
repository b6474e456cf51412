"""Results of runs as what recommends, resumes and compares reads them: damaged, edited, or of another program."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import POP, cases, ground, judged
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_tree, values

RESULT = Path("results/shop/Pop-2020.json")
RECOMMEND = [f"--recommend={RESULT}", "--out=recommendations.csv", "--k=2"]
COMMANDS = [RECOMMEND, [*POP, "--resume"], ["--models=Pop", *POP[1:]]]


@pytest.fixture(scope="module")
def result(finished: Path) -> dict[str, Any]:
    """Of a run of Pop."""
    content: dict[str, Any] = json.loads((finished / RESULT).read_text())
    return content


def _written(content: Any) -> None:
    RESULT.write_text(json.dumps(content, default=str))


@cases()
@given(data=st.data(), command=st.sampled_from(COMMANDS))
def test_a_result_that_was_edited(
    data: st.DataObject, command: list[str], result: dict[str, Any], finished: Path
) -> None:
    with ground(finished):
        _written(data.draw(changed_tree(result) | values))
        judged(command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "change",
    [
        {"model": 5},
        {"model": "NoSuch"},
        {"dataset": "../shop"},
        {"weights": 5},
        {"weights": "."},
        {"test": {"ndcg@3": "x"}},
        {"history": [1]},
        {
            "config": {
                "valid_metric": "NDCG@3",
                "metric_decimal_place": -(10**9),
                "eval_args": {"mode": {"test": "full"}},
            }
        },
    ],
)
def test_entries_that_are_wrong(
    change: dict[str, Any], command: list[str], result: dict[str, Any], finished: Path
) -> None:
    with ground(finished):
        _written({**result, **change})
        judged(command)


@cases()
@given(data=st.data(), suffix=st.sampled_from([".json", ".yaml", ".users.npz", ".pth"]))
def test_bytes(data: st.DataObject, suffix: str, finished: Path) -> None:
    with ground(finished):
        (weights,) = Path("saved").rglob("*.pth")
        path = weights if suffix == ".pth" else RESULT.with_suffix(suffix)
        path.write_bytes(data.draw(changed_bytes(path.read_bytes())))
        judged(RECOMMEND if suffix in (".yaml", ".pth") else data.draw(st.sampled_from(COMMANDS)))


@cases(0.3)
@given(content=st.binary(max_size=40))
@example(content=b"[" * 100_000)
@example(content=b"9" * 5000)
@example(content=b"\xff")
def test_what_is_no_result(content: bytes, finished: Path) -> None:
    with ground(finished):
        RESULT.write_bytes(content)
        judged(RECOMMEND)
