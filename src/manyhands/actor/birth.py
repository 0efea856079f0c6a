"""How a shard's object is made: a class, its arguments, and the surroundings. Part of the actor room.

What the user gave is pickled anew at each start: a piece of data may say what has become of it since.
"""

from __future__ import annotations

import _pickle as pickle

from manyhands import byvalue
from manyhands.engines.local.setup import limit_threads

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Birth:
    """Travels to the shard. What the user gave is a pickle of its own, opened when the surroundings are right."""

    def __init__(
        self, make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], cores_each: int
    ) -> None:
        self._given = byvalue.dumps((make, args, kwargs))
        self._cores_each = cores_each

    def build(self) -> Any:
        """In the shard: make the object, once."""
        limit_threads(self._cores_each)
        make, args, kwargs = pickle.loads(self._given)
        self._given = b""
        return make(*args, **kwargs)
