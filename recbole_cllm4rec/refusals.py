"""What RecBole refuses on purpose, as one line; what fails by accident keeps its traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb, walk_tb

import numpy as np

from recbole_cllm4rec.errors import UserError


@contextmanager
def of_recbole(what: str) -> Iterator[None]:
    """Raise :class:`UserError` for a ``ValueError`` and its like that RecBole's own code raises about ``what``.

    Also for a column that a model reads and a batch does not have, and for a closed form that has no solution. An
    assertion without words is told by its line. An error that comes up elsewhere, in torch or in the plugin, is left as
    it is.
    """
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise UserError(f"RecBole refuses {what}: {error}; is reg_weight 0?") from error
    except KeyError as error:
        if _module_of(error) != "recbole.data.interaction":
            raise
        raise UserError(
            f"RecBole refuses {what}: the model reads the column {error}, which is not there: see load_col and, if it "
            "is one of negatives, train_neg_sample_args"
        ) from error
    except (AssertionError, NotImplementedError, ValueError) as error:
        words = str(error) or (extract_tb(error.__traceback__)[-1].line if isinstance(error, AssertionError) else None)
        if not _module_of(error).startswith("recbole.") or not words:
            raise
        raise UserError(f"RecBole refuses {what}: {' '.join(words.split())}") from error


def _module_of(error: Exception) -> str:
    """Where it was raised."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__"))
