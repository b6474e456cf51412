"""What is told of a dataset beside its files: its card in Markdown and its yaml for RecBole."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import yaml

from dataset_prep.filters import Step, scalar
from dataset_prep.staging import Staging, Words
from dataset_prep.tables import Dataset

CUT_OFFS = (1, 3, 5, 10, 20, 40)  # of those that leave half of the items unranked, the last three are taken
PROTOCOL = 100  # items that the paper's longest ranking needs
# Of CLLM4Rec, in place of a recipe with text.
NO_ITEM_TEXT = "token_init: random, shared_words: False, tfidf_weight: 0, sentence_weight: 0"
QUANTILES = {"25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "longest": 1.0}


class Origin(NamedTuple):
    """Where a dataset comes from: the command, and the sha256 of every source by its name."""

    command: str
    digests: dict[str, str]

    def lines(self) -> list[str]:
        """The comments at the head of the yaml."""
        return [f"# Made by: {self.command}", *(f"# {name}: sha256 {digest}" for name, digest in self.digests.items())]


@dataclass
class Summary:
    """The numbers of a dataset that has been written."""

    steps: list[Step] = field(default_factory=list)
    """What each filter left, the first being what was read; empty where nothing is filtered."""
    words: dict[str, Words] = field(default_factory=dict)
    """Words of the cells of every column of text, by ``ending: field``."""
    undescribed: dict[str, int] = field(default_factory=dict)
    """Of the users and items, those that the source says nothing of but their interactions."""
    counts: dict[str, int] = field(default_factory=dict)
    """Number of users, of items, and of the interactions of each part."""
    span: tuple[str, str] | None = None
    """The first and the last time of an interaction, in UTC, where there are times."""

    def count(self, staging: Staging, filtered: bool) -> None:
        """Fill ``counts`` and ``span``."""
        db = staging.db
        if filtered:
            last = self.steps[-1]
            self.counts = {"users": last.users, "items": last.items, "interactions": last.interactions}
            times = "ids SEMI JOIN pairs USING (n) WHERE ending = 'inter'"
        else:
            for kind in ("user", "item"):
                self.counts[f"{kind}s"] = scalar(
                    db, f"SELECT count(*) FROM (SELECT DISTINCT {kind}_id FROM ids WHERE {kind}_id IS NOT NULL)"
                )
            for ending, rows in staging.rows.items():
                part, _, kind = ending.rpartition(".")
                if kind == "inter":
                    self.counts[f"{part} interactions".lstrip()] = rows
            times = "ids"
        found = db.execute(f"SELECT min(time), max(time) FROM {times}").fetchone()
        if found is not None and found[0] is not None:
            self.span = (_moment(found[0]), _moment(found[1]))


def settings(dataset: Dataset, origin: Origin, summary: Summary) -> str:
    """The dataset's settings in RecBole's keys, under comments that tell where it comes from.

    A source whose columns of text are all empty has no entry among ``text_fields``, and CLLM4Rec is told where that
    leaves it nothing to read. Too few items for the paper's cut-offs get others.
    """
    kinds = {ending.rpartition(".")[2]: table for ending, table in dataset.tables.items()}
    told = {
        column.partition(": ")[0].rpartition(".")[2]
        for column, words in summary.words.items()
        if words.lengths.total() > words.lengths[0]
    }
    keys: dict[str, object] = {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "load_col": {kind: table.fields(text=False) for kind, table in kinds.items()},
        "text_fields": {kind: table.fields(text=True) for kind, table in kinds.items() if kind in told},
        "text_escaped": True,
    }
    parts = [ending.removesuffix(".inter") for ending in dataset.tables if ending.endswith(".inter")]
    if parts:
        keys["benchmark_filename"] = parts
    dumped = yaml.safe_dump(keys, default_flow_style=None, sort_keys=False, width=120)
    return "\n".join([*origin.lines(), dumped]) + dataset.facts + _without(told) + _cut_offs(summary.counts["items"])


def _without(told: set[str]) -> str:
    """What CLLM4Rec can do where items have no text, or nothing has."""
    if "item" in told:
        return ""
    if told:
        return f"# No item has a text for its token to start from.\nfor_model: {{CLLM4Rec: {{{NO_ITEM_TEXT}}}}}\n"
    return "# There is no text: a content view would have nothing to read.\nfor_model: {CLLM4Rec: {variant: no-text}}\n"


def _cut_offs(n_items: int) -> str:
    """Metrics in RecBole's keys where those of the protocol rank more items than there are."""
    if n_items >= PROTOCOL:
        return ""
    topk = [k for k in CUT_OFFS if k <= max(1, n_items // 2)][-3:]
    columns = ", ".join(f"{metric}@{k}" for k in topk[-2:] for metric in ("recall", "ndcg"))
    return (
        f"# The cut-offs of the paper, up to {PROTOCOL}, need more items than the {n_items} here.\n"
        f"topk: {topk}\nmetrics: [Recall, NDCG, CappedRecall]\nvalid_metric: NDCG@{topk[-1]}\n"
        f"table_metrics: [{columns}]\n"
    )


def card(name: str, dataset: Dataset, origin: Origin, summary: Summary) -> str:
    """The dataset at a glance, in Markdown: size, filters, text, origin."""
    counts = summary.counts
    interactions = sum(n for what, n in counts.items() if what.endswith("interactions"))
    sparsity = 1 - interactions / (counts["users"] * counts["items"])
    lines = [
        f"# {name}\n",
        *_markdown([*counts, "sparsity"], [[*(f"{n:,}" for n in counts.values()), f"{sparsity:.2%}"]]),
    ]
    if summary.span:
        lines.append(f"\nInteractions from {summary.span[0]} to {summary.span[1]} (UTC).")
    lines += [f"\n{note}" for note in dataset.notes]
    if summary.steps:
        header = ["filter", "removed", "interactions", "users", "items"]
        lines += ["\n## Filters\n", *_markdown(header, _removed(summary.steps))]
    skipped = [
        f"\n{n:,} lines of {dataset.name_of(file)} could not be used and are left out."
        for file, n in dataset.left_out.items()
    ]
    text = [[column, *_coverage(words.lengths)] for column, words in summary.words.items()]
    return "\n".join(
        [
            *lines,
            *skipped,
            "\n## Text\n\nLengths are in words, over the rows that have text.\n",
            *_markdown(["field", "rows", "with text", "share", *QUANTILES], text),
            f"\n## Origin\n\n    {origin.command}\n",
            *_markdown(["source", "sha256"], origin.digests.items()),
            "",
        ]
    )


def _removed(steps: list[Step]) -> Iterable[list[str]]:
    before = steps[0].interactions
    for step in steps:
        removed = f"{before - step.interactions:,}"
        yield [step.name, removed, f"{step.interactions:,}", f"{step.users:,}", f"{step.items:,}"]
        before = step.interactions


def _coverage(lengths: Counter[int]) -> list[str]:
    """How much of a column is text, and how long that is: quantiles that are lengths of real rows."""
    rows, some = lengths.total(), lengths.total() - lengths[0]
    share = [f"{rows:,}", f"{some:,}", f"{some / rows:.1%}" if rows else "–"]
    if not some:
        return share + ["–"] * len(QUANTILES)
    return share + [f"{quantile(lengths, q):,}" for q in QUANTILES.values()]


def quantile(lengths: Counter[int], q: float) -> int:
    """The least length, of those above 0, that a share ``q`` of them does not exceed (the inverse of their CDF)."""
    below, wanted = 0, q * (lengths.total() - lengths[0])
    for length in sorted(length for length in lengths if length):
        below += lengths[length]
        if below >= wanted:
            return length
    raise ValueError("no length above 0")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _markdown(header: list[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
