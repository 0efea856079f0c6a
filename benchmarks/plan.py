"""How often each group is measured, and how long all of it may take. The pool group has the longest rounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Rounds of a group, and the seconds after which none of its measurements begins."""

    rounds: int
    budget_s: float


FULL = {"queue": Plan(5, 440), "start": Plan(5, 60), "import": Plan(5, 60), "pool": Plan(3, 600)}
QUICK = {"queue": Plan(3, 75), "start": Plan(3, 15), "import": Plan(3, 15), "pool": Plan(1, 180)}

#: When a measurement is killed: full and quick.
WATCHDOG_S = {False: 20.0, True: 10.0}


@dataclass(frozen=True)
class Limits:
    """How much to measure, and for how long at most."""

    quick: bool
    rounds: dict[str, int]
    budget_s: float

    @property
    def watchdog_s(self) -> float:
        """How long one measurement may take."""
        return WATCHDOG_S[self.quick]

    @property
    def most_rounds(self) -> int:
        """The rounds of the group that has most."""
        return max(self.rounds.values())


def limits(groups: set[str], quick: bool, rounds: int | None, budget_s: float | None) -> Limits:
    """The plan for these groups; `rounds` and `budget_s` come from the user, or are None."""
    plans = {group: plan for group, plan in (QUICK if quick else FULL).items() if group in groups}
    return Limits(
        quick,
        {group: rounds or plan.rounds for group, plan in plans.items()},
        budget_s or sum(plan.budget_s for plan in plans.values()),
    )
