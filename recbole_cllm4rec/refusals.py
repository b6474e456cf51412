"""What RecBole refuses on purpose, as one line; what fails by accident keeps its traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

import numpy as np

from recbole_cllm4rec.errors import UserError


@contextmanager
def of_recbole(what: str) -> Iterator[None]:
    """Raise :class:`UserError` for a ``ValueError`` and its like that RecBole's own code raises about ``what``.

    An error that comes up deeper, in torch or numpy, or in the plugin is left as it is.
    """
    try:
        yield
    except np.linalg.LinAlgError as error:  # of a closed form without regularisation
        raise UserError(f"RecBole refuses {what}: {error}; is reg_weight 0?") from error
    except (AssertionError, NotImplementedError, ValueError) as error:
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        if not str(frames[-1].f_globals.get("__name__")).startswith("recbole.") or not str(error):
            raise
        raise UserError(f"RecBole refuses {what}: {' '.join(str(error).split())}") from error
