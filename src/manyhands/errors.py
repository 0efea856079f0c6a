"""Every error that manyhands raises of its own. Floor 0.

::

    ManyhandsError
    ├── PicklingError         also pickle.PicklingError and TypeError   what you passed cannot be sent
    ├── UnpicklingError       also pickle.UnpicklingError               what was sent cannot be rebuilt here
    ├── ClosedResourceError   also ValueError and OSError               you used something after closing it
    ├── BrokenResourceError   also OSError and EOFError                 the other side is gone
    │   └── DescriptorLostError                                         its file descriptor cannot be had any more
    ├── CorruptRingError      also ValueError                           shared memory that is not a sane ring or arena
    ├── OutOfMemoryError      also MemoryError                          the system refused shared memory
    ├── StartError            also RuntimeError                         a process could not be started
    ├── UsageError            also ValueError or TypeError              an argument that makes no sense
    │   (a pool's own, in `manyhands.failures`, and here too, once asked for)
    ├── WorkerLostError       also BrokenProcessPool                    a worker died with this task
    │   ├── QuarantinedError                                            the task killed three workers
    │   └── ActorLostError                                              an actor died with this request
    ├── DeadlineError         also TimeoutError, multiprocessing's too  an actor's answer was too late
    ├── PoolBrokenError       also BrokenProcessPool                    no worker can be had
    ├── TaskTimeoutError      also TimeoutError, multiprocessing's too  a task ran too long
    ├── WaitTimeoutError      likewise                                  you did not want to wait longer
    ├── ResultPicklingError   also PicklingError, MaybeEncodingError    a result cannot be sent back
    └── PoolClosedError       also ValueError and RuntimeError          work for a pool that takes no more

Besides these the library raises what its users already catch: ``queue.Full``, ``queue.Empty``, ``TimeoutError``.

Always true: each is built from facts kept as attributes, says what to do about it, and survives a pickle.
"""

from __future__ import annotations

TYPE_CHECKING = (
    False  # as in typing, whose import would cost each start of a process more than all the rest here
)
if TYPE_CHECKING:
    from typing import Any

    from manyhands.pickling import PicklingError as PicklingError  # noqa: PLC0414
    from manyhands.pickling import UnpicklingError as UnpicklingError  # noqa: PLC0414


class ManyhandsError(Exception):
    """Root of the tree above."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, self.__dict__ or None


class ClosedResourceError(ManyhandsError, ValueError, OSError):
    """You used something after closing it."""


class BrokenResourceError(ManyhandsError, OSError, EOFError):
    """The process at the other side is gone or closed its end."""


class DescriptorLostError(BrokenResourceError):
    """A file descriptor that an object needs cannot be had any more."""


class CorruptRingError(ManyhandsError, ValueError):
    """A piece of shared memory is not what its header should say."""


class OutOfMemoryError(ManyhandsError, MemoryError):
    """The system refused shared memory or address space."""


class StartError(ManyhandsError, RuntimeError):
    """A process could not be started."""


class UsageError(ManyhandsError, ValueError, TypeError):
    """An argument makes no sense; the message names it and says what would."""


class RemoteTraceback(Exception):
    """The ``__cause__`` of an exception that came from another process; its text is the traceback there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


_PICKLING = frozenset(("PicklingError", "UnpicklingError"))
_FAILURES = frozenset((
    "ActorLostError", "DeadlineError", "PoolBrokenError", "PoolClosedError", "QuarantinedError",
    "ResultPicklingError", "TaskTimeoutError", "WaitTimeoutError", "WorkerLostError",
))  # fmt: skip


def __getattr__(name: str) -> Any:
    """The errors whose standard bases take long to import, and so wait until one is asked for."""
    if name in _PICKLING:
        from manyhands import pickling

        return getattr(pickling, name)
    if name in _FAILURES:
        from manyhands import failures

        return getattr(failures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
