"""A stage: how long until the text is loaded and indexed, what all processes hold then, and which files it is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import manyhands.search
from benchmarks.harness import Measurement
from benchmarks.search import memory
from benchmarks.search.ripgrep import Ripgrep
from benchmarks.search.settings import WORKERS, Settings


def measure(settings: Settings) -> Iterator[Measurement]:
    """One load, in this process, which has loaded nothing before."""
    before_bytes = memory.pss_bytes([os.getpid()])
    began = time.perf_counter()
    with manyhands.search.open(settings.folder, hidden=True, shards=WORKERS) as tree:
        load_s = time.perf_counter() - began
        tree.wait_indexed()
        index_s = time.perf_counter() - began
        held_bytes = memory.pss_bytes(memory.family()) - before_bytes
        status = tree.status()
        figures = {
            "load_s": load_s,
            "index_s": index_s,
            "held_bytes": held_bytes,
            "text_bytes": status.text_bytes,
            "held_per_byte": held_bytes / status.text_bytes,
        }
        yield Measurement("search_load", "manyhands", "", 1, "ok", figures, wall_s=index_s)
        yield _files(tree, Ripgrep(settings.folder).files())


def _files(tree: manyhands.search.Tree, known: list[bytes]) -> Measurement:
    """Each file that ripgrep knows must be searched, or skipped with a reason."""
    searched, skipped = set(tree.files().paths_bytes), tree.skipped()
    unread = {path: reason for path, reason, _ in skipped}
    lost = [path for path in known if path not in searched and path not in unread]
    figures = {
        "searched": float(len(searched - unread.keys())),
        "skipped": float(len(unread)),
        "known_to_ripgrep": float(len(known)),
        "lost": float(len(lost)),
    }
    note = str(skipped)
    if lost:
        note = f"neither searched nor skipped, but known to ripgrep: {lost[:3]}"
    return Measurement("search_files", "manyhands", "", 1, "error" if lost else "ok", figures, note)
