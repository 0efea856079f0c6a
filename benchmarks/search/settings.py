"""What the stages of a run must know; travels to them as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: Both sides use so many cores.
WORKERS = 2

#: The seed of everything that is drawn by lot.
SEED = 20


@dataclass(frozen=True)
class Settings:
    """`corpus` names the questions that fit the text of `folder`; `library` is what the command searches."""

    corpus: str
    folder: str
    library: str
    quick: bool
    rounds: int

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, dumped: str) -> Settings:
        """Out of JSON."""
        return cls(**json.loads(dumped))
