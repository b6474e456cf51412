"""The mechanism that makes up clicks does what it says."""

import numpy as np
import pytest

from dataset_prep import simulation
from dataset_prep.simulation import CITIES, Side, clicks, draw, postings, profiles


def test_what_is_drawn():
    side = draw(400, 3, 0.2, np.random.default_rng(1))
    own = [side.skills[row, field * 6 : field * 6 + 6].sum() for row, field in enumerate(side.fields)]
    assert set(own) <= {3, 4}
    assert set(side.skills.sum(axis=1)) == {3, 4}
    assert 0.15 < (side.cities == len(CITIES)).mean() < 0.25


def pair_of_sides() -> tuple[Side, Side]:
    """One member, who has the skills and the level of every second job."""
    skills = np.zeros((2, 60), dtype=bool)
    skills[0, :3] = skills[1, 6:9] = True
    member = Side(np.array([0]), np.array([1]), np.array([0]), skills[:1])
    of_jobs = np.arange(200) % 2
    jobs = Side(of_jobs, 1 + 2 * of_jobs, np.full(200, 1), skills[of_jobs])
    return member, jobs


def test_who_fits_is_clicked_on(monkeypatch):
    member, jobs = pair_of_sides()
    found = [click for seed in range(200) for click in clicks(member, jobs, np.random.default_rng(seed))]
    clicked = [click.job for click in found if click.action == "click"]
    # exp(6 + 2.4) to 1 between the two kinds of jobs: nearly all that is not noise is of the first, of noise half.
    assert np.mean([job % 2 == 0 for job in clicked]) == pytest.approx(0.95, abs=0.02)
    assert len(clicked) / 200 == pytest.approx(9, abs=0.4)  # 5 + Poisson(4)
    fitting = [click.action for click in found if click.job % 2 == 0]
    assert fitting.count("apply") / fitting.count("click") == pytest.approx(0.7, abs=0.05)
    assert {click.job % 2 for click in found if click.action == "apply"} == {0}
    assert {len(click.time) for click in found} == {len("2024-01-01T00:00:00Z")}


def test_a_member_clicks_once_on_a_job():
    member, jobs = pair_of_sides()
    found = [click.job for click in clicks(member, jobs, np.random.default_rng(1)) if click.action == "click"]
    assert len(found) == len(set(found))


def test_few_jobs_are_enough():
    member, jobs = pair_of_sides()
    few = Side(*(column[:2] for column in jobs))
    assert {click.job for click in clicks(member, few, np.random.default_rng(1))} <= {0, 1}


def test_texts_tell_skills_in_both_wordings():
    side = Side(*(np.repeat(column, 100, axis=0) for column in pair_of_sides()[0]))
    rng = np.random.default_rng(1)
    told = [" ".join(text) for text in (*profiles(side, rng), *postings(side, rng))]
    wordings = simulation.FIELDS["data engineer"][0]
    shares = [np.mean([wording in text for text in told]) for wording in wordings]
    assert shares == pytest.approx([3 / 7, 3 / 7], abs=0.1)
    assert all("Mid-level data engineer" in text and "Oslo" in text for text in told)
