"""Line search: every core searches its share of many text files, which it keeps in memory.

    python line_search.py                   # lines with "deadlock" in Python's own standard library
    python line_search.py WORD DIRECTORY    # lines with WORD in the files of DIRECTORY

One process a core. Each loads its share of the files once, then answers queries from its own queue until
None comes; all answers come back through one shared queue, each with the id of its query. This program asks
a single question, but the processes would answer any number of them at the speed of memory.

Files must be UTF-8; those that cannot be read or decoded are counted and named, not lost. Exit status: 0
done, 1 a process died, 2 wrong arguments, 130 interrupted.
"""

import argparse
import os
import queue
import signal
import stat
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import manyhands as mh

SKIPPED_DIRECTORIES = {"site-packages", "__pycache__", ".git"}


def find_files(top: Path, suffix: str) -> tuple[list[tuple[int, str]], list[str]]:
    """Size and relative path of each file below `top`, and a complaint for whatever cannot be looked at."""
    files, complaints = [], []

    def complain(error: OSError) -> None:
        complaints.append(f"{error.filename}: {error.strerror}")

    for directory, below, names in os.walk(top, onerror=complain):
        below[:] = sorted(set(below) - SKIPPED_DIRECTORIES)
        for path in (Path(directory, name) for name in sorted(names) if name.endswith(suffix)):
            try:
                status = path.stat()
            except OSError as error:  # a broken link, or a file that has just gone
                complain(error)
                continue
            if stat.S_ISREG(status.st_mode):  # not a pipe or a device: reading one might never end
                files.append((status.st_size, path.relative_to(top).as_posix()))
    return files, complaints


def deal(files: list[tuple[int, str]], hands: int) -> list[list[str]]:
    """Shares of about equal size: the largest files first, like cards, one to each hand in turn."""
    largest_first = [path for _, path in sorted(files, reverse=True)]
    return [largest_first[number::hands] for number in range(hands)]


# --- What the processes do ------------------------------------------------------------------------


def load(top: Path, paths: list[str]) -> tuple[dict[str, list[str]], int, list[str]]:
    """The lines of each file, the bytes of all of them, and a complaint for each that cannot be read."""
    texts, size, complaints = {}, 0, []
    for path in paths:
        try:
            with open(top / path, encoding="utf-8") as file:
                texts[path] = [line.rstrip("\n") for line in file]
                size += os.fstat(file.fileno()).st_size
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            complaints.append(f"{path}: {reason}")
    return texts, size, complaints


def shard(top: Path, paths: list[str], queries: Any, answers: Any) -> None:
    """The life of one process: load a share, say so, answer queries until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the main one deals with it
    texts, size, complaints = load(top, paths)
    lines = sum(map(len, texts.values()))
    answers.put(("loaded", os.getpid(), (len(texts), lines, size, complaints)))
    while (query := queries.get()) is not None:
        query_id, word = query
        matches = [
            (path, number, line)
            for path, text in texts.items()
            for number, line in enumerate(text, start=1)
            if word in line
        ]
        answers.put((query_id, os.getpid(), matches))


# --- What the main process does -------------------------------------------------------------------


class WorkerDiedError(Exception):
    """A process ended before it had answered."""


def gather(query_id: object, workers: list[Any], answers: Any) -> list[Any]:
    """Wait until every process has answered this query, or until one of them is dead."""
    gathered: list[Any] = []
    while len(gathered) < len(workers):
        # Whoever is dead *before* we look into the queue, and has not answered, never will.
        dead = [worker for worker in workers if not worker.is_alive()]
        try:
            answer_id, _, answer = answers.get(timeout=0.1)
        except queue.Empty:
            if dead:
                ends = ", ".join(f"{worker.pid} (exit code {worker.exitcode})" for worker in dead)
                raise WorkerDiedError(f"process {ends} died with its share of the files; try again") from None
            continue
        if answer_id == query_id:
            gathered.append(answer)
    return gathered


def show(matches: list[Any], loaded: list[Any], complaints: list[str], ending: str) -> None:
    """Print the matches, then the totals in one last line; what was skipped goes to the other output."""
    for complaint in sorted(complaints):
        say(f"skipped {complaint}")
    for path, number, line in matches:
        print(f"{path}:{number}: {line}")
    files, lines, size = (sum(one[column] for one in loaded) for column in range(3))
    print(
        f"{len(matches)} matches in {len({path for path, _, _ in matches})} files; searched {files} files, "
        f"{lines} lines, {size / 1e6:.2f} MB; skipped {len(complaints)}; {ending}",
        flush=True,
    )


def search(word: str, top: Path, suffix: str) -> None:
    """Start the processes, ask them, print what they found."""
    began = time.perf_counter()
    files, complaints = find_files(top, suffix)
    shares = deal(files, max(1, min(mh.cpu_count(), len(files))))
    answers = mh.Queue()
    inboxes = [mh.Queue() for _ in shares]
    workers = [
        # A daemon does not outlive this program, however that ends.
        mh.Process(target=shard, args=(top, share, inbox, answers), daemon=True)
        for share, inbox in zip(shares, inboxes, strict=True)
    ]
    try:
        for worker in workers:
            worker.start()
        pids = ", ".join(str(worker.pid) for worker in workers)
        say(f"{len(files)} files to load, in process {pids}")
        loaded = gather("loaded", workers, answers)
        ready = time.perf_counter()

        for inbox in inboxes:
            inbox.put((1, word))
        matches = sorted(match for found in gather(1, workers, answers) for match in found)
        done = time.perf_counter()

        complaints += [complaint for _, _, _, some in loaded for complaint in some]
        times = f"load {ready - began:.3f} s, query {done - ready:.3f} s"
        show(matches, loaded, complaints, f"{times}; processes {pids}")
        for inbox in inboxes:
            inbox.put(None)
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            if worker.pid is not None and worker.is_alive():
                worker.terminate()
                worker.join()


def say(text: str) -> None:
    """Tell the user something that is not a result."""
    print(f"line_search: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Read the arguments, search, and turn whatever happens into an exit status."""
    parser = argparse.ArgumentParser(description="Print every line that contains WORD below DIRECTORY.")
    parser.add_argument("word", nargs="?", default="deadlock", metavar="WORD", help="default: %(default)s")
    parser.add_argument(
        "directory", nargs="?", type=Path, metavar="DIRECTORY", help="default: Python's own library, *.py"
    )
    options = parser.parse_args()
    if not options.word:
        parser.error("WORD is empty: every line contains it")
    top, suffix = options.directory, ""
    if top is None:
        top, suffix = Path(sysconfig.get_path("stdlib")), ".py"
    if not top.is_dir():
        parser.error(f"DIRECTORY {str(top)!r} is not a directory")
    sys.stdout.reconfigure(errors="backslashreplace")  # whatever the files hold can be printed
    try:
        search(options.word, top, suffix)
    except WorkerDiedError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as in `line_search.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


# No `if __name__ == "__main__"` is needed: manyhands does not run this file again in its processes.
sys.exit(main())
