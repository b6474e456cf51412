"""Trials of a study: how they are chosen, counted, pruned, and begun again. Scores are literals; nothing is trained."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import log10
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import OnValidation
from recbole_cllm4rec.tuning.engine import Trials
from recbole_cllm4rec.tuning.search import PointError, Record, Search
from recbole_cllm4rec.tuning.workers import working

Prepare = Callable[..., Search]
Objective = Callable[[Mapping[str, Any], Path, OnValidation], float]
REG = "reg_weight: {low: 1.0, high: 5000.0, log: true}"


class DeathError(BaseException):
    """The process is killed: nothing is told to the study."""


def peak_at_100(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
    return -abs(log10(values["reg_weight"]) - 2)


@contextmanager
def study(search: Search, objective: Objective, name: str = "study") -> Iterator[tuple[Trials, Callable[[int], None]]]:
    """A process at work on the study: its trials, and how it runs them till there are so many."""
    object.__setattr__(search, "evaluate", objective)
    trials = Trials(search, Path(f"{name}.db"), Path(f"{name}.work"))
    with working(Path(f"{name}.work")) as own:

        def run(total: int) -> None:
            while trial := trials.begin(total, own):
                trials.run(trial, own, lambda epoch, score: None)

        yield trials, run


def points(trials: Trials) -> list[float]:
    return [record.values["reg_weight"] for record in trials.records()]


def test_the_configuration_as_it_stands_comes_first_and_the_search_closes_in(search: Prepare) -> None:
    with study(search(REG), peak_at_100) as (trials, run):
        run(30)
        first, *others = points(trials)
        assert first == 250.0  # RecBole's default
        assert len(set(others)) == 29
        assert all(1 <= reg <= 5000 for reg in others)
        away = [abs(log10(reg) - 2) for reg in others]
        assert median(away[-10:]) < median(away[:10])


def test_what_the_configuration_has_outside_the_space_is_not_tried(search: Prepare) -> None:
    with study(search("reg_weight: {choices: [1.0, 1000.0]}"), peak_at_100) as (trials, run):
        run(4)
        assert set(points(trials)) <= {1.0, 1000.0}


def test_the_seed_decides_which_points_are_tried(search: Prepare) -> None:
    tried = []
    for number, seed in enumerate([1, 1, 2]):
        with study(search(REG, seed=seed), peak_at_100, f"study{number}") as (trials, run):
            run(4)
            tried.append(points(trials))
    assert tried[0] == tried[1]
    assert not set(tried[0][1:]) & set(tried[2][1:])


def test_a_study_goes_on_where_it_was(search: Prepare) -> None:
    with study(search(REG), peak_at_100) as (trials, run):
        run(3)
    with study(search(REG), peak_at_100) as (trials, run):
        run(3)
        assert len(trials.records()) == 3
        run(12)
    with study(search(REG), peak_at_100, "other") as (straight, run):
        run(12)
    assert trials.records()[-1].number == 11
    assert points(trials) == points(straight)


def test_a_killed_trial_is_run_again_and_counts_once(search: Prepare) -> None:
    killed: list[float] = []

    def dies_at_the_third(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        if len(trials.records()) == 3 and not killed:
            killed.append(values["reg_weight"])
            raise DeathError
        return peak_at_100(values, scratch, watch)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(DeathError):  # noqa: PT012
        patch.setattr(Trials, "give_up", lambda *_: None)
        with study(search(REG), dies_at_the_third) as (trials, run):
            run(12)
    assert [record.state for record in trials.records()] == ["complete", "complete", "running"]
    with study(search(REG), dies_at_the_third) as (trials, run):
        run(12)
        assert [record.state for record in trials.records()] == ["complete"] * 12
        assert points(trials)[2] == killed[0]
        again = points(trials)
    with study(search(REG), peak_at_100, "other") as (straight, run):
        run(12)
        assert again == points(straight)


def test_the_trial_of_a_living_process_is_left_to_it(search: Prepare) -> None:
    with study(search(REG), peak_at_100) as (first, _), working(Path("study.work")) as own:
        begun = first.begin(3, own)
        with study(search(REG), peak_at_100) as (second, run):
            run(3)
            assert [record.state for record in second.records()] == ["running", "complete", "complete"]
        first.run(begun, own, lambda epoch, score: None)
        assert [record.state for record in first.records()] == ["complete"] * 3


def test_a_point_that_kills_its_process_thrice_has_failed(search: Prepare) -> None:
    trials = Trials(search(REG), Path("study.db"), Path("study.work"))
    for _ in range(3):
        with working(Path("study.work")) as own:
            assert trials.begin(1, own).params["reg_weight"] == 250.0
    with working(Path("study.work")) as own:
        assert trials.begin(1, own) is None
    (record,) = trials.records()
    assert (record.state, record.error) == ("failed", "its process died")


def test_a_stopped_trial_is_run_again_at_once(search: Prepare) -> None:
    stops = iter([True])

    def stopped(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        if next(stops, False):
            raise KeyboardInterrupt
        return peak_at_100(values, scratch, watch)

    with study(search(REG), stopped) as (trials, run):
        with pytest.raises(KeyboardInterrupt):
            run(2)
        assert trials.records() == []
        run(2)
        assert [(record.number, record.state) for record in trials.records()] == [(1, "complete"), (2, "complete")]
        assert points(trials)[0] == 250.0


def test_another_space_configuration_or_split_is_another_study_in_the_same_file(search: Prepare) -> None:
    searches = [
        search(REG),
        search(REG.replace("5000", "4000")),
        search(REG, rm_dup_inter="first"),
        search(REG, split_seed=7),
    ]
    for number, one in enumerate(searches, start=1):
        with study(one, peak_at_100) as (trials, run):
            run(number)
            assert len(trials.records()) == number
    with study(search("# as the first\nreg_weight: {high: 5e3, log: yes, low: 1.0}"), peak_at_100) as (trials, _):
        assert len(trials.records()) == 1


def test_smaller_is_better_where_the_metric_says_so(search: Prepare) -> None:
    unpopular = {"metrics": ["AveragePopularity"], "valid_metric": "AveragePopularity@3"}
    assert search(REG).maximises
    with study(search(REG, **unpopular), lambda *point: -peak_at_100(*point)) as (trials, run):
        run(30)
        away = [abs(log10(reg) - 2) for reg in points(trials)[1:]]
        assert median(away[-10:]) < median(away[:10])


def test_a_curve_below_the_median_is_cut_short_after_a_warm_up(search: Prepare) -> None:
    def curve(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        for epoch in range(10):
            watch(epoch, peak_at_100(values, scratch, watch) + epoch / 10)
        return peak_at_100(values, scratch, watch) + 0.9

    with study(search(REG, epochs=10), curve) as (trials, run):
        run(15)
        records = trials.records()
    complete = [record for record in records if record.state == "complete"]
    pruned = [record for record in records if record.state == "pruned"]
    assert len(complete) + len(pruned) == 15
    assert len(pruned) >= 3
    assert min(record.number for record in pruned) >= 5
    assert {len(record.curve) for record in complete} == {10}
    assert {len(record.curve) for record in pruned} == {3}  # two epochs of warm-up, and the one that decides
    assert max(record.score for record in pruned) < max(record.score for record in complete)
    for record in pruned:
        before = [other.curve[2] for other in complete if other.number < record.number]
        assert record.curve[2] < median(before)


def test_a_model_without_a_curve_is_never_cut_short(search: Prepare) -> None:
    def one_epoch(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        watch(0, peak_at_100(values, scratch, watch))
        return peak_at_100(values, scratch, watch)

    with study(search(REG), one_epoch) as (trials, run):
        run(10)
        assert {record.state for record in trials.records()} == {"complete"}


def test_a_failed_point_is_noted_and_the_study_goes_on(search: Prepare) -> None:
    def above_100(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        if values["reg_weight"] < 100:
            raise PointError("LinAlgError: Singular matrix")
        return peak_at_100(values, scratch, watch)

    with study(search(REG), above_100) as (trials, run):
        run(12)
        by_state: dict[str, list[Record]] = {"complete": [], "failed": []}
        for record in trials.records():
            by_state[record.state].append(record)
    assert {record.error for record in by_state["failed"]} == {"LinAlgError: Singular matrix"}
    assert all(record.values["reg_weight"] < 100 and record.score is None for record in by_state["failed"])
    assert all(record.values["reg_weight"] >= 100 for record in by_state["complete"])
    assert len(by_state["failed"]) >= 2


def test_where_the_first_three_fail_the_study_stops(search: Prepare) -> None:
    def fails(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        raise PointError("the loss became nan")

    with study(search(REG), fails) as (trials, run):
        message = "all of the first 3 trials failed, the last one so: the loss became nan"
        with pytest.raises(UserError, match=re.escape(message)):
            run(9)
        assert len(trials.records()) == 3


def test_what_is_wrong_with_every_point_stops_the_study_at_once(search: Prepare) -> None:
    def changed(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        raise UserError("the split changed")

    with study(search(REG), changed) as (trials, run):
        with pytest.raises(UserError, match="the split changed"):
            run(9)
        assert trials.records() == []


def test_every_kind_of_value_reaches_the_model_as_it_stands_in_the_space(search: Prepare) -> None:
    space = """\
mlp_hidden_size: {choices: [[300], [600, 100]]}
latent_dimension: {low: 16, high: 64, step: 16}
dropout_prob: {low: 0.1, high: 0.9, step: 0.1}
anneal_cap: {low: 0.1, high: 0.9}
total_anneal_steps: {low: 1, high: 100000, log: true}
"""
    seen: list[Mapping[str, Any]] = []

    def note(values: Mapping[str, Any], scratch: Path, watch: OnValidation) -> float:
        seen.append(values)
        return 0.5

    with study(search(space, "MultiVAE"), note) as (trials, run):
        run(15)
        assert [record.values for record in trials.records()] == seen
    assert {str(values["mlp_hidden_size"]) for values in seen} == {"[300]", "[600, 100]"}
    assert {values["latent_dimension"] for values in seen} <= {16, 32, 48, 64}
    assert {values["dropout_prob"] for values in seen} <= {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}
    assert all(type(values["total_anneal_steps"]) is int for values in seen)


def test_without_optuna_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "recbole_cllm4rec.tuning.engine")
    with pytest.raises(UserError, match=r"tuning needs Optuna: pip install 'recbole_cllm4rec\[tune\]'"):
        importlib.import_module("recbole_cllm4rec.tuning.engine")
