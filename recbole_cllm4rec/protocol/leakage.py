"""The audit of a run, on the very objects that it would train and test: what is held out is seen nowhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.sampler import Sampler

from recbole_cllm4rec.corpus.documents import Document
from recbole_cllm4rec.corpus.text import Corpus, IntArray
from recbole_cllm4rec.protocol import pairs
from recbole_cllm4rec.protocol.invariance import relabelling, ties
from recbole_cllm4rec.protocol.reading import at_test, read
from recbole_cllm4rec.protocol.split import history_masked
from recbole_cllm4rec.protocol.subject import Finding, Subject, prepare
from recbole_cllm4rec.registry import Entry

DRAWS = 2
"""Times that every document is drawn, as some hold a random part of a history."""

COINCIDENCE = 20
"""Characters from which on a review that stands in another text too is no coincidence."""


@dataclass(frozen=True)
class Verdict:
    """What one check found, in one line of evidence."""

    check: str
    passed: bool
    detail: str


def audit(entry: Entry, config: Any, data: Any) -> list[Verdict]:
    """The verdicts of all checks on the run of ``entry`` under ``config``; ``data`` is not split yet.

    Nothing is trained but closed-form models. Raises as :func:`recbole_cllm4rec.protocol.split.split`.
    """
    return examine(prepare(entry, config, data))


def examine(subject: Subject) -> list[Verdict]:
    """The verdicts of all checks."""
    return [Verdict(name, *check(subject)) for name, check in CHECKS.items()]


def report(verdicts: Sequence[Verdict]) -> str:
    """A line a check, and one that counts."""
    width = max(len(verdict.check) for verdict in verdicts)
    lines = [f"{'✓' if v.passed else '✗'} {v.check:<{width}}  {v.detail}" for v in verdicts]
    return "\n".join([*lines, f"{sum(v.passed for v in verdicts)} of {len(verdicts)} checks passed"])


def _parts(subject: Subject) -> Finding:
    train, valid, test = subject.codes.values()
    shared = np.concatenate([np.intersect1d(*two) for two in ((train, valid), (train, test), (valid, test))])
    sizes = ", ".join(f"{name} {len(codes):,}" for name, codes in subject.codes.items())
    found = f"{sizes} pairs; {len(shared):,} in two parts{subject.example(shared)}"
    if subject.config["repeatable"]:
        return True, f"{found}, as repeatable allows"
    return not len(shared), found


def _training_inputs(subject: Subject) -> Finding:
    """Items that are drawn as negatives stand in other columns, or in rows whose label says so: they do not count."""
    label, train = subject.config["LABEL_FIELD"], subject.parts[0]
    seen = set[str]()

    def epoch() -> Iterator[IntArray]:
        for batch in subject.rows:
            if label in batch and label not in train.inter_feat:
                batch = batch[batch[label] == 1]
            columns = pairs.item_columns(batch, subject.ids, subject.config["LIST_SUFFIX"])
            seen.update(columns)
            yield pairs.of_batch(batch, columns, subject.ids)

    leaked, total = subject.leaks(epoch())
    if not seen:
        return True, "users alone: the loader gives no items, the model looks them up (see graphs)"
    return not len(leaked), subject.evidence(leaked, total, f"(user, item) of one epoch, in {', '.join(sorted(seen))}")


def _negatives(subject: Subject) -> Finding:
    """A sampler that spares held-out items gives them away, and so does one that knows how popular they are."""
    sampler = subject.rows._sampler
    if sampler is None:
        return True, "no negatives are drawn"
    if sampler.distribution == "popularity" and len(sampler._get_candidates_list()) > len(subject.parts[0]):
        return False, "items are drawn by their popularity in all parts, not in training"
    if not isinstance(sampler, Sampler):
        return True, "any item but a row's own may be drawn, as repeatable is set"
    users = np.repeat(np.arange(len(sampler.used_ids)), [len(items) for items in sampler.used_ids])
    spared = subject.ids.codes(users, np.array([item for items in sampler.used_ids for item in items], dtype=np.int64))
    leaked, total = subject.leaks([spared])
    return not len(leaked), subject.evidence(leaked, total, "(user, item) that are never drawn")


def _prompts(subject: Subject) -> Finding:
    families = {id(p.documents): p for stage in getattr(subject.trainer, "stages", ()) for p in stage.passes}
    if not families:
        return True, "no prompts: the model reads no documents"
    rng = np.random.default_rng(subject.config["seed"])

    def draw(documents: Any) -> Iterator[Document]:
        return (documents.draw(k, rng) for k in range(len(documents)))

    drawn = [draw(family.documents) for family in families.values() for _ in range(DRAWS)]
    vocabulary = subject.model.vocabulary
    leaked, total = subject.leaks(pairs.of_documents(documents, vocabulary, subject.ids) for documents in drawn)
    n_documents = sum(len(family.documents) for family in families.values())
    names = ", ".join(family.name for family in families.values())
    where = f"(user, item) in {DRAWS} draws of {n_documents:,} documents ({names})"
    return not len(leaked), subject.evidence(leaked, total, where)


def _evaluation_inputs(subject: Subject) -> Finding:
    """Validation items are among the histories at test if ``history_read`` says so, and never before."""
    readable = {"valid": subject.parts[0], "test": at_test(subject.config, subject.parts)}
    leaked, strays, sources, total = [pairs.NOTHING], [pairs.NOTHING], set[str](), 0
    for part, loader in subject.evaluations.items():
        given = np.concatenate([pairs.NOTHING, *_given(subject, part, loader, readable[part], sources)])
        allowed = pairs.of_part(readable[part], subject.ids)
        total += len(given)
        strays.append(np.setdiff1d(given, allowed))
        leaked.append(np.intersect1d(strays[-1], subject.held_out))
    if not sources:
        return True, "users alone: no sequence and no prompt is given"
    where = f"(user, item) given at {' and '.join(subject.evaluations)}, in {', '.join(sorted(sources))}"
    may = {"train": "training", "train+valid": "training, and at test of validation"}[subject.config["history_read"]]
    others = np.unique(np.concatenate(strays))
    evidence = subject.evidence(np.unique(np.concatenate(leaked)), total, where)
    return not len(others), f"{evidence}; {len(others):,} not of {may}{subject.example(others)}"


def _given(subject: Subject, part: str, loader: Any, readable: Any, sources: set[str]) -> Iterator[IntArray]:
    """Codes of the pairs that rows and prompts hold at the evaluation of a part; ``sources`` are named on the way."""
    for batch, *_ in loader:
        columns = pairs.item_columns(batch, subject.ids, subject.config["LIST_SUFFIX"])
        histories = [name for name in columns if name != subject.ids.item_field]  # that one is scored, not given
        sources.update(histories)
        yield pairs.of_batch(batch, histories, subject.ids)
    if question := getattr(subject.model, "prediction", None):
        later = part == "test" and readable is not subject.parts[0]
        if later:
            read(subject.model, readable)
        users = np.unique(subject.codes[part] // subject.ids.n_items).tolist()
        sources.add("prompts")
        yield pairs.of_documents(map(question, users), subject.model.vocabulary, subject.ids)
        if later:
            read(subject.model, subject.parts[0])


def _graphs(subject: Subject) -> Finding:
    known = np.union1d(subject.codes["train"], subject.held_out)
    made_of_pairs, others = dict[str, IntArray](), list[str]()
    for name, value in pairs.attributes(subject.model):
        codes = pairs.of_attribute(value, subject.ids, known)
        if codes is not None and len(codes):
            made_of_pairs[name] = codes
        elif codes is not None:
            others.append(name)
    aside = f"; not made of interactions: {', '.join(others)}" if others else ""
    if not made_of_pairs:
        return True, f"no graph, matrix or history of users and items in the model{aside}"
    leaked, total = subject.leaks(made_of_pairs.values())
    return not len(leaked), subject.evidence(leaked, total, f"(user, item) of {', '.join(made_of_pairs)}{aside}")


def _texts(subject: Subject) -> Finding:
    """Reviews are read of training pairs alone, and no other text has a held-out one in it."""
    corpora = [value for _, value in pairs.attributes(subject.model) if isinstance(value, Corpus)]
    if not corpora:
        return True, "no texts: the model keeps no corpus"
    reviews = [np.array([r[:2] for r in corpus.reviews], dtype=np.int64).reshape(-1, 2) for corpus in corpora]
    read = np.concatenate([subject.ids.codes(*of_corpus.T) for of_corpus in reviews])
    strays = np.setdiff1d(read, subject.codes["train"])
    leaked, total = subject.leaks([read])
    written = [r for part in subject.parts[1:] for r in part.corpus().reviews if len(r.text) >= COINCIDENCE]
    copied = [
        subject.ids.codes(r.user, r.item)
        for corpus in corpora
        for r in written
        if r.text in corpus.user_texts[r.user] or r.text in corpus.item_texts[r.item]
    ]
    copies = np.concatenate([pairs.NOTHING, *copied])
    detail = (
        f"{subject.evidence(leaked, total, 'reviews')}; {len(strays):,} not of training{subject.example(strays)}; "
        f"{len(copies):,} of {len(written):,} held-out reviews in texts of users and items{subject.example(copies)}"
    )
    return not (len(leaked) or len(strays) or len(copies)), detail


def _masks(subject: Subject) -> Finding:
    """Masked is what was seen and nothing else; what is both seen and asked for may be either."""
    full = {part: loader for part, loader in subject.evaluations.items() if isinstance(loader, FullSortEvalDataLoader)}
    if not full:
        return True, "no masks: candidates are drawn"
    train, valid, _ = subject.codes.values()
    seen = {"train": train, "train+valid": np.union1d(train, valid), "nothing": pairs.NOTHING}
    details, passed = [], True
    for part, loader in full.items():
        masked, asked, users = _asked(loader, subject.ids)
        what = history_masked(subject.config, part)
        expected = seen[what][np.isin(seen[what] // subject.ids.n_items, users)]
        wrong, missing = np.setdiff1d(masked, expected), np.setdiff1d(expected, np.union1d(masked, asked))
        passed &= not len(wrong) and not len(missing)
        details.append(
            f"masked at {part}: {len(np.intersect1d(masked, expected)):,} (user, item) of {what}, "
            f"{len(wrong):,} of others{subject.example(wrong)}, {len(missing):,} missing{subject.example(missing)}"
        )
    return passed, "; ".join(details)


def _asked(loader: Any, ids: pairs.Ids) -> tuple[IntArray, IntArray, IntArray]:
    """Codes of what an evaluation masks, codes of what it asks for, and its users."""
    masked, asked, users = [pairs.NOTHING], [pairs.NOTHING], [pairs.NOTHING]
    for batch, history, rows, items in loader:
        of_row = batch[ids.user_field].numpy()
        users.append(of_row)
        asked.append(ids.codes(of_row[rows], items.numpy()))
        if history is not None:
            masked.append(ids.codes(of_row[history[0]], history[1].numpy()))
    return np.concatenate(masked), np.concatenate(asked), np.concatenate(users)


# A model that fails these saw nothing held out, but its figures owe something to the numbering of items.
OF_NUMBERING = {"relabelling", "ties"}

CHECKS: dict[str, Callable[[Subject], Finding]] = {
    "parts": _parts,
    "training inputs": _training_inputs,
    "negatives": _negatives,
    "prompts": _prompts,
    "evaluation inputs": _evaluation_inputs,
    "graphs": _graphs,
    "texts": _texts,
    "masks": _masks,
    "relabelling": relabelling,
    "ties": ties,
}
