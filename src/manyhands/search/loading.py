"""The progress of loading a tree: files, bytes and rate. Part of the search room."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from manyhands.observe.progress import open_progress

_MEGA = 10**6


def show_loading(group: Any, queue: Any, files: int, size_bytes: int, progress: Any) -> None:
    """Show how the shards' loading comes on until all are ready. Raises what a shard's constructor raised.

    `queue` brings (shard, files, bytes) from the shards. `progress` is as for `manyhands.Pool.map`. A bar, or lines,
    say how many files there are, and count megabytes, with their rate; a function of the user's is told of files.
    """
    counts_files = callable(progress)
    if counts_files:
        shown = open_progress(progress, files, "file")
    else:
        shown = open_progress(_described(progress, files), _megabytes(size_bytes), "MB")
    waiter = threading.Thread(target=_wait, args=(group, queue), name="manyhands-loading")
    waiter.start()
    told = loaded_bytes = 0
    try:
        while (message := queue.get()) is not None:
            loaded_bytes += message[2]
            megabytes = min(loaded_bytes, size_bytes) // _MEGA
            shown.advance(message[1] if counts_files else megabytes - told)
            told = megabytes
        if not counts_files:
            shown.advance(_megabytes(size_bytes) - told)
    finally:
        waiter.join()
        shown.close()
    group.wait_ready()


def _megabytes(size_bytes: int) -> int:
    return max(1, size_bytes // _MEGA)


def _described(progress: Any, files: int) -> Any:
    """With a description, if the user has given none."""
    described = {"desc": f"loading {files:,} files"}
    if progress is True:
        return described
    return described | dict(progress) if isinstance(progress, Mapping) else progress


def _wait(group: Any, queue: Any) -> None:
    try:
        group.wait_ready()
    except Exception:
        return  # `show_loading` asks again, and raises it
    finally:
        queue.put(None)
