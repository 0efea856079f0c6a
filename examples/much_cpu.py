"""Much CPU: the same pure-Python work done serially, on threads, and on processes.

    python much_cpu.py
    python much_cpu.py --limit 400000 --hands 8

Counting primes by trial division keeps a core busy and nothing else. Threads share one interpreter, which
runs one of them at a time, so they are no faster than a single loop. Processes have an interpreter each, so
they use every core. The function that does the work, `hand`, is the same for both: only the queues and
starters differ.
"""

import argparse
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import manyhands as mh


def count_primes(start: int, stop: int) -> int:
    """How many primes there are from `start` up to, not including, `stop`."""
    found = 0
    for number in range(max(start, 2), stop):
        divisor = 2
        while divisor * divisor <= number and number % divisor:
            divisor += 1
        found += divisor * divisor > number
    return found


def hand(tasks: Any, results: Any) -> None:
    """Take ranges from `tasks` until None comes; then hand in the sum and the id of this process."""
    found = 0
    while (task := tasks.get()) is not None:
        found += count_primes(*task)
    results.put((os.getpid(), found))


def many_hands(kind: type, tasks: Any, results: Any, ranges: list[tuple[int, int]], hands: int) -> Any:
    """Run `hand` in that many threads or processes, and return their number of primes and process ids."""
    # Small ranges from one queue: whoever is free takes the next one, so all finish at about the same time.
    workers = [kind(target=hand, args=(tasks, results)) for _ in range(hands)]
    for worker in workers:
        worker.start()
    for task in [*ranges, *[None] * hands]:
        tasks.put(task)
    for worker in workers:
        worker.join()
        # A process that died has an exit code; without this check we would wait for its result for ever.
        if getattr(worker, "exitcode", 0) != 0:
            raise SystemExit(f"much_cpu: process {worker.pid} died, exit code {worker.exitcode}")
    answers = [results.get() for _ in workers]
    return sum(found for _, found in answers), sorted({pid for pid, _ in answers})


def positive(text: str) -> int:
    """A number from 1 up, for the command line."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    """Do the work three times and compare."""
    parser = argparse.ArgumentParser(description="Count primes serially, on threads, and on processes.")
    parser.add_argument(
        "--limit", type=positive, default=600_000, help="count the primes below (default: %(default)s)"
    )
    parser.add_argument(
        "--hands", type=positive, default=mh.cpu_count(), help="threads and processes (default: one a core)"
    )
    options = parser.parse_args()
    hands, step = options.hands, max(options.limit // (16 * options.hands), 1)
    ranges = [(start, min(start + step, options.limit)) for start in range(0, options.limit, step)]

    ways: dict[str, Callable[[], Any]] = {
        "serially": lambda: (count_primes(0, options.limit), [os.getpid()]),
        f"{hands} threads": lambda: many_hands(threading.Thread, queue.Queue(), queue.Queue(), ranges, hands),
        f"{hands} processes": lambda: many_hands(mh.Process, mh.Queue(), mh.Queue(), ranges, hands),
    }
    print(f"primes below {options.limit}")
    serial_s, counts = 0.0, set()
    for name, way in ways.items():
        began = time.perf_counter()
        primes, pids = way()
        seconds = time.perf_counter() - began
        serial_s = serial_s or seconds
        counts.add(primes)
        print(
            f"{name:<14} {seconds:6.2f} s   {serial_s / seconds:5.2f} times as fast   "
            f"{primes} primes   in process {', '.join(map(str, pids))}"
        )
    if len(counts) > 1:
        raise SystemExit("much_cpu: the three ways do not agree")


# No `if __name__ == "__main__"` is needed: manyhands does not run this file again in its processes.
main()
