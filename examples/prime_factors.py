"""Prime factors: twenty random numbers, taken apart on one core and then on all of them.

    python prime_factors.py
    python prime_factors.py --numbers 100 --most 10000000 --seed 7 --repeat 3

Each number is divided by every smaller one up to its half, one after the other, as one would do it on paper without
thinking. Thinking would stop at the square root and be done in a blink; but then there would be no work to share.
This way a number of 50 million takes a core about a second, and the larger the number the longer it takes.

The times include all that is needed: the one for all cores also starts and ends the worker processes.

The function that does the work can be used from the command line, too, with a file of one number a line:

    manyhands map prime_factors.py:prime_factors numbers.txt
"""

import argparse
import math
import random
import time
from collections.abc import Callable

import manyhands as mh

LEAST = 100_000


def prime_factors(number: int | str) -> list[int]:
    """The prime factors of a positive number, smallest first; none for 1."""
    rest = number = int(number)
    if number < 1:
        raise ValueError(f"only positive numbers have prime factors, not {number}")
    factors = []
    for divisor in range(2, number // 2 + 1):
        while (
            rest % divisor == 0
        ):  # a divisor that is no prime never comes so far: its own factors are out by then
            factors.append(divisor)
            rest //= divisor
    return factors or [number] * (number > 1)


def in_a_loop(numbers: list[int]) -> list[list[int]]:
    """One after the other, in this process."""
    return [prime_factors(number) for number in numbers]


def in_a_pool(numbers: list[int]) -> list[list[int]]:
    """The same with one process a core. Only this line is different."""
    with mh.Pool() as pool:
        return pool.map(prime_factors, numbers)


def timed(
    function: Callable[[list[int]], list[list[int]]], numbers: list[int]
) -> tuple[float, list[list[int]]]:
    """How many seconds it takes, and what comes of it."""
    began = time.perf_counter()
    factors = function(numbers)
    return time.perf_counter() - began, factors


def show(numbers: list[int], factors: list[list[int]]) -> None:
    """Print them, after a look whether the product of its factors is the number again."""
    for number, own in zip(numbers, factors, strict=True):
        if math.prod(own) != number:
            raise SystemExit(f"prime_factors: {number} is not {' x '.join(map(str, own))}")
        print(f"{number:>12} = {' x '.join(map(str, own))}", flush=True)


def compare(numbers: list[int], *, is_first: bool) -> None:
    """Do the work in both ways and say how long they took."""
    loop_s, factors = timed(in_a_loop, numbers)
    if is_first:
        show(numbers, factors)
    print(f"one core {loop_s:8.2f} s   (a plain loop)", flush=True)
    pool_s, again = timed(in_a_pool, numbers)
    if again != factors:
        raise SystemExit("prime_factors: the two ways do not agree")
    print(f"{mh.cpu_count():>3} cores{pool_s:8.2f} s   (manyhands.Pool().map)")
    print(f"speed-up {loop_s / pool_s:8.2f} times", flush=True)


def at_least(least: int) -> Callable[[str], int]:
    """A number from `least` up, for the command line."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number


def main() -> None:
    """Draw the numbers, print their factors, and compare."""
    parser = argparse.ArgumentParser(description="Take random numbers apart, on one core and on all of them.")
    parser.add_argument("--numbers", type=at_least(1), default=20, help="how many (default: %(default)s)")
    parser.add_argument(
        "--most", type=at_least(LEAST), default=50_000_000,
        help=f"the largest they may be, the smallest being {LEAST} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="other numbers (default: %(default)s)")
    parser.add_argument(
        "--repeat", type=at_least(1), default=1, help="compare so often (default: %(default)s)"
    )
    options = parser.parse_args()

    draw = random.Random(options.seed)
    numbers = [draw.randint(LEAST, options.most) for _ in range(options.numbers)]
    # The long ones first, so that no core is left alone with one of them at the end.
    numbers.sort(reverse=True)
    print(
        f"{options.numbers} random numbers from {LEAST} to {options.most}, each divided by all up to its half"
    )
    for round_number in range(options.repeat):
        compare(numbers, is_first=round_number == 0)


# A pool needs no such guard, but ``manyhands map`` imports this file.
if __name__ == "__main__":
    main()
