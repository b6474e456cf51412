"""What a comparison has to run: rows as the command line names them, and the jobs of each."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from recbole_cllm4rec.comparison.job import Job
from recbole_cllm4rec.errors import UnfitConfigError, UnknownOptionError, UserError
from recbole_cllm4rec.experiment import configure
from recbole_cllm4rec.report.result import result_path


class Asked(NamedTuple):
    """A row as the command line names it: ``MODEL``, ``MODEL:VARIANT``, ``MODEL@SEEDS``, ``MODEL:VARIANT@SEEDS``."""

    model: str
    variant: str
    seeds: int

    @property
    def row(self) -> str:
        """Its name: that of the variant, as papers call their ablations, or else of the model."""
        return self.variant or self.model

    @property
    def overrides(self) -> dict[str, str]:
        """What makes it a variant."""
        return {"variant": self.variant} if self.variant else {}


def plan(
    models: Sequence[str], dataset: str, seeds: int, files: Sequence[str | Path], overrides: Mapping[str, Any]
) -> tuple[dict[str, list[Job]], dict[str, str]]:
    """Row -> its runs, one a seed; and row -> why its model cannot follow the configuration, where it has no runs.

    Raises :class:`UserError` for two rows of one name, and for an option that none of the models has.
    """
    rows: dict[str, list[Job]] = {}
    refused: dict[str, str] = {}
    unheard = dict(overrides)
    for asked in (read_model(text, seeds) for text in models):
        if asked.row in rows:
            raise UserError(f"models has {asked.row!r} twice: give a row once")
        kept = heard(asked.model, dataset, files, {**overrides, **asked.overrides})
        unheard = {key: value for key, value in unheard.items() if key not in kept}
        try:
            rows[asked.row] = _jobs(asked, dataset, files, kept)
        except UnfitConfigError as error:
            rows[asked.row], refused[asked.row] = [], str(error)
            tqdm.write(f"{asked.row}: {error}")
    if unheard:
        configure(read_model(models[0], 1).model, dataset, files, unheard)
    return rows, refused


def heard(model: str, dataset: str, config_files: Sequence[str | Path], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``overrides`` that the model has, whether it can follow them or not."""
    kept = dict(overrides)
    while True:
        try:
            configure(model, dataset, config_files, kept)
        except UnknownOptionError as error:
            known = {key: value for key, value in kept.items() if key.partition(".")[0] != error.key}
            if known == kept:  # it is a file's
                raise
            kept = known
            continue
        except UnfitConfigError:
            pass
        return kept


def read_model(text: str, seeds: int) -> Asked:
    """What ``text`` asks for, with ``seeds`` where it names no number. Raises :class:`UserError` for another one."""
    name, at, own = text.partition("@")
    if at and not re.fullmatch("[1-9][0-9]{0,2}", own):
        raise UserError(f"models has {text!r}: after @ stands the number of its seeds, 999 at most, as {name}@3")
    model, _, variant = name.partition(":")
    return Asked(model, variant, int(own) if at else seeds)


def _jobs(asked: Asked, dataset: str, files: Sequence[str | Path], kept: Mapping[str, Any]) -> list[Job]:
    if asked.variant and "variant" not in kept:
        raise UserError(f"{asked.model} has no variants: write {asked.model} alone, not {asked.model}:{asked.variant}")
    _, config = configure(asked.model, dataset, files, kept)
    return [_job(asked, dataset, files, kept, config["seed"] + number) for number in range(asked.seeds)]


def _job(asked: Asked, dataset: str, files: Sequence[str | Path], kept: Mapping[str, Any], seed: int) -> Job:
    own = {**kept, "seed": seed, "run_name": asked.row, "show_progress": False}
    _, config = configure(asked.model, dataset, files, own)
    path = result_path(Path(config["result_dir"]) / dataset, asked.row, seed)
    return Job(asked.row, asked.model, dataset, files, own, config.digest(), path)
