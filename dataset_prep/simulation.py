"""Members, jobs and clicks that are made up, by a mechanism that can be stated.

Every member has a field of work, a level of seniority, skills and a city; every job a field, a level, skills that it
requires and a city or none. How much member m likes job j is

    u(m, j) = 6 · share of j's skills that m has − 1.2 · levels apart + 0.8 · [j is in m's city, or anywhere] + q(j)

with the job's quality q(j) drawn from N(0, 0.7²). Of a member's clicks one in ten is on a job drawn uniformly, which is
the noise; the others are drawn without replacement with probabilities proportional to exp u(m, j) (Plackett and Luce),
made as the greatest of u(m, j) + Gumbel noise. A click is followed by an application with probability 0.7 · share of
skills, else by a save with probability 0.3; some jobs at random are dismissed. Numbers of clicks are 5 + Poisson(4).

Texts tell most of it, in words of their own: a skill has two wordings, each text takes one of them, and leaves one
skill in seven out. Nothing tells quality or noise. Few clicks a job leave much for text to tell.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEVELS = ("Junior", "Mid-level", "Senior", "Lead")
CITIES = ("Oslo", "Lisbon", "Nairobi", "Toronto", "Osaka", "Lima")
ANYWHERE = "Remote"
FIELDS: dict[str, tuple[tuple[str, str], ...]] = {  # skills in two wordings
    "data engineer": (
        ("ETL pipelines", "moving data between systems"),
        ("Spark", "distributed processing of large tables"),
        ("SQL", "querying relational databases"),
        ("data warehouses", "dimensional modelling"),
        ("Airflow", "scheduling of batch jobs"),
        ("streaming with Kafka", "event streams"),
    ),
    "web developer": (
        ("React", "single-page interfaces"),
        ("TypeScript", "typed JavaScript"),
        ("REST services", "HTTP endpoints"),
        ("CSS", "responsive layouts"),
        ("accessibility", "pages for screen readers"),
        ("Node", "server-side JavaScript"),
    ),
    "machine learning engineer": (
        ("PyTorch", "training neural networks"),
        ("recommender systems", "ranking and personalisation"),
        ("language models", "natural language processing"),
        ("computer vision", "image recognition"),
        ("model serving", "inference at low latency"),
        ("experiment design", "A/B testing"),
    ),
    "nurse": (
        ("intensive care", "critically ill patients"),
        ("wound care", "dressings and healing"),
        ("paediatrics", "caring for children"),
        ("triage", "emergency admissions"),
        ("medication", "administering drugs"),
        ("palliative care", "end-of-life support"),
    ),
    "accountant": (
        ("bookkeeping", "ledgers and journals"),
        ("tax returns", "corporate tax"),
        ("auditing", "checks of financial statements"),
        ("payroll", "wages and deductions"),
        ("budgeting", "financial planning"),
        ("IFRS", "international reporting standards"),
    ),
    "teacher": (
        ("mathematics lessons", "algebra and geometry"),
        ("curriculum design", "planning a school year"),
        ("special needs", "inclusive classrooms"),
        ("language teaching", "English as a foreign language"),
        ("assessment", "setting and marking exams"),
        ("pastoral care", "guidance of pupils"),
    ),
    "mechanical engineer": (
        ("CAD", "three-dimensional design"),
        ("finite elements", "stress simulation"),
        ("thermodynamics", "heat and cooling"),
        ("tolerances", "precision machining"),
        ("hydraulics", "pumps and valves"),
        ("prototyping", "test rigs"),
    ),
    "marketing manager": (
        ("search advertising", "paid keywords"),
        ("brand strategy", "positioning"),
        ("email campaigns", "newsletters"),
        ("market research", "customer surveys"),
        ("social media", "online communities"),
        ("copywriting", "persuasive writing"),
    ),
    "chef": (
        ("menu planning", "seasonal dishes"),
        ("pastry", "desserts and baking"),
        ("food safety", "hygiene rules"),
        ("kitchen teams", "running the line"),
        ("butchery", "preparing meat"),
        ("vegetarian cooking", "plant-based food"),
    ),
    "electrician": (
        ("wiring", "installing cables"),
        ("fault finding", "diagnosing circuits"),
        ("solar panels", "photovoltaic systems"),
        ("motor drives", "industrial machines"),
        ("safety tests", "inspection certificates"),
        ("building automation", "smart lighting and heating"),
    ),
}
_SKILLS = [skill for skills in FIELDS.values() for skill in skills]
_OF_FIELD = len(_SKILLS) // len(FIELDS)
_TITLES = list(FIELDS)
START = np.datetime64("2024-01-01T00:00:00")
SECONDS = 180 * 86400

Bools = npt.NDArray[np.bool_]


class Side(NamedTuple):
    """The members, or the jobs: fields [N], levels [N], cities [N], of which the last is anywhere, skills [N, S]."""

    fields: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int64]
    cities: npt.NDArray[np.int64]
    skills: Bools


class Click(NamedTuple):
    """What a member did, a row of a file."""

    member: int
    job: int
    time: str
    action: str


def draw(n: int, n_skills: int, remote: float, rng: np.random.Generator) -> Side:
    """``n`` of one side: each has ``n_skills`` of its field's skills and, every other one, one of another field."""
    fields = rng.integers(len(FIELDS), size=n)
    levels = rng.choice(len(LEVELS), size=n, p=[0.3, 0.35, 0.25, 0.1])
    cities = np.where(rng.random(n) < remote, len(CITIES), rng.integers(len(CITIES), size=n))
    skills = np.zeros((n, len(_SKILLS)), dtype=bool)
    for row, field in enumerate(fields):
        skills[row, field * _OF_FIELD + rng.choice(_OF_FIELD, n_skills, replace=False)] = True
        if rng.random() < 0.5:
            skills[row, rng.integers(len(_SKILLS))] = True
    return Side(fields, levels, cities, skills)


def clicks(members: Side, jobs: Side, rng: np.random.Generator) -> Iterator[Click]:
    """What every member did, one member after the other, by the mechanism of this module."""
    quality = rng.normal(0, 0.7, len(jobs.fields))
    required = jobs.skills / jobs.skills.sum(axis=1, keepdims=True)
    n_jobs = len(jobs.fields)
    for member in range(len(members.fields)):
        share = required @ members.skills[member]
        apart = np.abs(jobs.levels - members.levels[member])
        near = (jobs.cities == members.cities[member]) | (jobs.cities == len(CITIES))
        liking = 6 * share - 1.2 * apart + 0.8 * near + quality
        n = min(5 + int(rng.poisson(4)), n_jobs)
        liked = np.argsort(-(liking + rng.gumbel(size=n_jobs)))[:n]
        noise = rng.random(n) < 0.1
        chosen = dict.fromkeys(np.where(noise, rng.integers(n_jobs, size=n), liked).tolist())
        dismissed = [job for job in rng.integers(n_jobs, size=rng.poisson(1)).tolist() if job not in chosen]
        for job in chosen:
            when = int(rng.integers(SECONDS))
            yield Click(member, job, _time(when), "click")
            if rng.random() < 0.7 * share[job]:
                yield Click(member, job, _time(when + 300), "apply")
            elif rng.random() < 0.3:
                yield Click(member, job, _time(when + 60), "save")
        for job in dismissed:
            yield Click(member, job, _time(int(rng.integers(SECONDS))), "dismiss")


def profiles(members: Side, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Headline, profile and place of every member."""
    for row in range(len(members.fields)):
        title, level, place, told = _words(members, row, rng)
        about = f"I have worked as {_a(title)}, and know about {told}." if told else f"I have worked as {_a(title)}."
        yield f"{level} {title}", about, place


def postings(jobs: Side, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Title, description and place of every job."""
    for row in range(len(jobs.fields)):
        title, level, place, told = _words(jobs, row, rng)
        wanted = f"You bring experience with {told}." if told else "Tell us what you bring."
        yield f"{level} {title}", f"We are looking for {_a(title)} for our team. {wanted}", place


def _words(side: Side, row: int, rng: np.random.Generator) -> tuple[str, str, str, str]:
    """Title, level, place, and the skills that are told."""
    skills = [_SKILLS[skill][rng.integers(2)] for skill in np.flatnonzero(side.skills[row]) if rng.random() < 6 / 7]
    told = " and ".join(filter(None, [", ".join(skills[:-1]), *skills[-1:]]))
    return _TITLES[side.fields[row]], LEVELS[side.levels[row]], (*CITIES, ANYWHERE)[side.cities[row]], told


def _a(title: str) -> str:
    return f"{'an' if title[0] in 'aeiou' else 'a'} {title}"


def _time(seconds: int) -> str:
    return f"{START + np.timedelta64(seconds, 's')}Z"
