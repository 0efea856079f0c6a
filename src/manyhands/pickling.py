"""The errors of pickling: their standard bases are imported when somebody needs them. `manyhands.errors` has them, too.

Floor 0. Always true: what is always true in `manyhands.errors`.
"""

from __future__ import annotations

import _pickle as pickle  # the same objects, without the import of re

from manyhands.errors import ManyhandsError


class PicklingError(ManyhandsError, pickle.PicklingError, TypeError):
    """An object cannot be sent. `path` leads from it to the part that cannot be pickled."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UnpicklingError(ManyhandsError, pickle.UnpicklingError):
    """An object arrived whole, but could not be rebuilt here."""
