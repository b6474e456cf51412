"""Whether rows differ from the reference row: paired over users, corrected for the number of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.report.rows import FloatArray, Row


@dataclass(frozen=True)
class Effect:
    """A row against the reference on one metric, over users.

    ``mean`` of the differences, row less reference, and the ends of its 95 % confidence interval; ``p`` of the
    two-sided paired t-test, and ``p_holm``, corrected by Holm's method over the rows of the metric; Cohen's ``d_z``,
    the mean difference in standard deviations of the differences, None where they are constant and not zero.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    d_z: float | None


def effects(rows: Sequence[Row], reference: str, metrics: Sequence[str]) -> dict[str, dict[str, Effect]]:
    """Metric -> row -> its effect, for rows and metrics with figures of users; raises as :func:`against`."""
    found = {}
    for metric in metrics:
        figures = {row.name: row.per_user[metric] for row in rows if not row.error and metric in row.per_user}
        base = figures.pop(reference, None)
        found[metric] = {} if base is None else against(base, figures)
    return found


def against(reference: FloatArray, rows: Mapping[str, FloatArray]) -> dict[str, Effect]:
    """The effect of each row [U] against ``reference`` [U] on one metric.

    A user's figures are bounded, mostly zero and nothing like normal, but the t-test speaks of their mean, and the mean
    of paired differences over some thousand users is as good as normal by the central limit theorem; pairing takes out
    how easy a user is for every model. The test asks whether the difference would hold for other users of this kind.
    It does not cover another training: a row is the mean of its seeds, taken as given, and the ± between seeds stands
    beside it. Nor does it cover another split.

    Raises :class:`UserError` for fewer than two users, whose differences have no variance.
    """
    found = {name: _paired(figures, reference) for name, figures in rows.items()}
    if not found:
        return {}
    corrected = multipletests([effect.p for effect in found.values()], method="holm")[1]
    return {name: replace(effect, p_holm=float(p)) for (name, effect), p in zip(found.items(), corrected, strict=True)}


def half_width(values: FloatArray) -> float:
    """Half of the 95 % confidence interval of the mean of ``values`` [U]. Raises :class:`UserError` if U < 2."""
    if len(values) < 2:
        raise UserError(f"the test part has {len(values)} user(s): a comparison over users needs two at least")
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def _paired(row: FloatArray, reference: FloatArray) -> Effect:
    """The effect of one row, not yet corrected."""
    difference = row - reference
    # Figures are kept in float32: what is below its resolution is no difference.
    noise = np.finfo(np.float32).eps * max(np.abs(row).max(initial=0), np.abs(reference).max(initial=0))
    difference[np.abs(difference) <= noise] = 0
    half, mean = half_width(difference), float(difference.mean())
    if np.ptp(difference) <= noise:
        p = 0.0 if mean else 1.0
        return Effect(mean, mean, mean, p, p, None if mean else 0.0)
    p = float(stats.ttest_1samp(difference, 0).pvalue)
    return Effect(mean, mean - half, mean + half, p, p, mean / float(difference.std(ddof=1)))
