"""A comparison as files: one table in every format, and a chart, of rows that share one split."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_cllm4rec.errors import UserError, suggestion
from recbole_cllm4rec.report.plots import comparison_chart
from recbole_cllm4rec.report.published import published, remark
from recbole_cllm4rec.report.render import as_latex, as_markdown
from recbole_cllm4rec.report.result import write_whole
from recbole_cllm4rec.report.rows import Row, common_split
from recbole_cllm4rec.report.table import Table, as_csv, as_dict, lay_out

_NAME = "comparison"
_VERSIONS = ("recbole", "torch", "numpy")


def write_comparison(folder: Path, table: Table) -> list[Path]:
    """``folder/comparison.{csv,md,tex,png,svg,json}``, each as a whole; the paths of these.

    Raises :class:`UserError` where the ``comparison.json`` there is of another split, and where a file cannot be
    written.
    """
    check_earlier(folder, _test(table.head))
    contents = {
        ".csv": as_csv(table).encode(),
        ".md": as_markdown(table).encode(),
        ".tex": as_latex(table).encode(),
        **comparison_chart(table),
        ".json": (json.dumps(as_dict(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(),
    }
    paths = [folder / f"{_NAME}{suffix}" for suffix in contents]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, contents.values(), strict=True):
            write_whole(path, content)
    except OSError as error:
        raise UserError(f"{folder / _NAME}: {error.strerror}; set result_dir to a folder with room") from None
    return paths


def compare(
    rows: Sequence[Row],
    reference: str,
    metrics: Sequence[str],
    dataset: str,
    command: str,
    audit: Sequence[str] = (),
) -> Table:
    """The table of ``rows`` against the row ``reference``, beside what papers print for ``dataset``.

    ``audit``: what a look for leaks found, in lines; the head of the table holds them.

    Raises :class:`UserError` where rows share a name or do not share a split, where none has figures, for a reference
    that is no row, for a metric that a row lacks, and for no metrics.
    """
    shared = common_split(rows)
    _check(rows, reference, metrics)
    head = _head(rows, shared, reference, dataset, command) | ({"audit": list(audit)} if audit else {})
    figures = published(dataset)
    return lay_out(rows, reference, metrics, head, figures, remark(dataset, shared) if figures else "")


def _check(rows: Sequence[Row], reference: str, metrics: Sequence[str]) -> None:
    names = [row.name for row in rows]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two rows are called {twice[0]!r}: give one of the runs another run_name")
    if reference not in names:
        raise UserError(f"no row is called {reference!r}{suggestion(reference, names)}; the rows: {', '.join(names)}")
    if all(row.error for row in rows):
        raise UserError(f"no row has figures; {rows[0].name}: {rows[0].error}")
    if not metrics:
        raise UserError("table_metrics is empty: name the columns of the table, as --table_metrics=[ndcg@100]")
    for row in rows:
        for result in row.results if not row.error else ():
            for metric in metrics:
                if metric not in result["test"]:
                    raise UserError(
                        f"{row.name} (seed {result['seed']}) has no {metric}{suggestion(metric, result['test'])}; it "
                        f"has {', '.join(result['test'])}: set table_metrics to some of these, or metrics and topk"
                    )


def _head(rows: Sequence[Row], shared: dict[str, str], reference: str, dataset: str, command: str) -> dict[str, Any]:
    """What was compared, on what and with what; of several seeds, commits or versions all are named."""
    results = [result for row in rows if not row.error for result in row.results]
    users = {len(figures) for row in rows if not row.error for figures in row.per_user.values()}
    return {
        "dataset": dataset,
        "split": {part: shared[f"split.{part}"] for part in ("train", "valid", "test")},
        "history_mask": shared["history_mask"],
        **_reading(rows, shared["config.history_read"]),
        "ranked_at_test": shared["config.eval_args.mode.test"],
        "users": max(users, default=None),
        "reference": reference,
        "seeds": _distinct(result["seed"] for result in results),
        "commit": _distinct(_commit(result["commit"]) for result in results),
        "versions": {name: _distinct(result["versions"].get(name) for result in results) for name in _VERSIONS},
        "device": _distinct(result["device"] for result in results),
        "command": command,
    }


def _reading(rows: Sequence[Row], asked: str) -> dict[str, Any]:
    """What models read at test, if more than training, and which could not, as they have learnt users by heart."""
    if asked == "train":
        return {}
    unable = [row.name for row in rows if not row.error and row.results[0]["history_read"] != asked]
    return {"history_read": asked} | ({"read_training_alone": unable} if unable else {})


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _commit(commit: dict[str, Any] | None) -> str:
    if commit is None:
        return "an installed copy"
    return f"{commit['hash']}{' with uncommitted changes' if commit['dirty'] else ''}"


def check_earlier(folder: Path, test: Mapping[str, str]) -> None:
    """Raise :class:`UserError` where the comparison in ``folder`` is not of this :func:`tested`, or cannot be told."""
    path = folder / f"{_NAME}.json"
    if not path.exists():
        return
    remedy = "move it, or choose another result_dir"
    try:
        earlier = _test(json.loads(path.read_text(encoding="utf-8"))["head"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is no comparison that can be read: {remedy}") from None
    for key, value in test.items():
        if earlier.get(key) != value:
            raise UserError(f"{path} is of another test, its {key} is {earlier.get(key)!r}, not {value!r}: {remedy}")


def tested(split: Mapping[str, str], history_mask: str, history_read: str, ranked: str) -> dict[str, str]:
    """What has to be the same where a table takes the place of another: the ``split``, and what was masked at test,
    read and ranked.
    """
    parts = {f"{part} part": pairs for part, pairs in split.items()}
    return parts | {"history_read": history_read, "history_mask": history_mask, "ranked_at_test": ranked}


def _test(head: dict[str, Any]) -> dict[str, str]:
    """That of the head of a table."""
    return tested(head["split"], head["history_mask"], head.get("history_read", "train"), head["ranked_at_test"])
