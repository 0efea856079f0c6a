"""What `progress=` shows: to a terminal, to a log, to a function, in a notebook, and to nobody."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
import types
from typing import ClassVar

import pytest
import tqdm.auto
import tqdm.std

from manyhands.errors import UsageError
from manyhands.observe import progress as module
from manyhands.observe.progress import open_progress


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A terminal as far as tqdm cares, which counts what is written and can break."""

    broken = False
    writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes += 1
        if self.broken:
            raise OSError(errno.EPIPE, "Broken pipe")
        return super().write(text)


class Log(Screen):
    def isatty(self) -> bool:
        return False


class Pty:
    """Both ends of a real terminal."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")

    def shown(self) -> str:
        """Everything shown up to now; closes the terminal."""
        self.stream.close()
        text = b""
        try:
            while more := os.read(self._master, 4096):
                text += more
        except OSError:  # what Linux says at the end
            pass
        return text.decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture(autouse=True)
def _usual_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("TQDM_")]:
        monkeypatch.delenv(name)
    module._say_that_tqdm_is_missing.cache_clear()


@pytest.fixture
def pty():
    terminal = Pty()
    yield terminal
    terminal.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def notebook(monkeypatch):
    """As in a notebook: stderr is no terminal, and tqdm.auto gives a bar that keeps a copy of its total."""

    class Widget(tqdm.std.tqdm):
        opened: ClassVar[list[tqdm.std.tqdm]] = []

        def __init__(self, **options):
            self.container = types.SimpleNamespace(max=options["total"])
            self.opened.append(self)
            super().__init__(**{**options, "file": Screen()})

        def reset(self, total=None):
            self.container.max = total
            super().reset(total)

    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    monkeypatch.setattr(tqdm.auto, "tqdm", Widget)
    return Widget


# A terminal


def test_a_terminal_shows_a_bar_that_is_left_complete(pty):
    shown = open_progress("resize", total=3, file=pty.stream)
    for _ in range(3):
        shown.advance()
    shown.close()
    text = pty.shown()
    assert text.startswith("\rresize:   0%|")
    assert "\rresize: 100%|" in text
    assert "3/3" in text.rpartition("\r")[0]
    assert text.endswith("item/s]\r\n")


def test_the_bar_goes_to_stderr(pty, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", pty.stream)
    open_progress(True, total=3).close()
    assert "0/3" in pty.shown()
    assert capsys.readouterr().out == ""


def test_a_terminal_that_does_not_know_its_size_shows_a_bar(pty, monkeypatch):
    monkeypatch.setattr(sys, "stderr", pty.stream)
    assert os.get_terminal_size(pty.stream.fileno()) == (0, 0)
    open_progress("resize", total=3).close()
    assert "resize:   0%|" in pty.shown()


def test_a_total_that_becomes_known_is_shown_at_once():
    screen = Screen()
    shown = open_progress(True, total=None, file=screen)
    assert "%" not in screen.getvalue()
    shown.total(10)
    assert "0/10" in screen.getvalue()
    shown.close()


def test_a_total_that_is_no_longer_known_is_taken_back():
    screen = Screen()
    shown = open_progress(True, total=10, file=screen)
    shown.total(None)
    shown.advance(4)
    shown.close()
    assert "\r4item" in screen.getvalue()


def test_a_dict_is_passed_to_tqdm():
    screen = Screen()
    wish = {"desc": "resize", "unit": "img", "bar_format": "{desc} {n_fmt} of {total_fmt} {unit}"}
    shown = open_progress(wish, total=3, file=screen)
    shown.advance(2)
    shown.close()
    assert screen.getvalue().rpartition("\r")[2].rstrip() == "resize 2 of 3 img"


def test_a_dict_has_the_last_word_on_total_unit_and_file():
    screen = Screen()
    shown = open_progress({"total": 7, "unit": "img", "file": screen}, total=None, unit="row", file=Log())
    shown.close()
    assert "0/7" in screen.getvalue()
    assert "img/s" in screen.getvalue()


def test_a_dict_may_ask_that_nothing_be_left():
    screen = Screen()
    shown = open_progress({"leave": False}, total=3, file=screen)
    shown.close()
    assert screen.getvalue().endswith(" \r")


def test_the_dict_is_left_as_it_was():
    wish = {"desc": "resize", "file": Screen()}
    before = dict(wish)
    open_progress(wish, total=3).close()
    assert wish == before


def test_two_bars_at_once_have_a_row_each():
    screen = Screen()
    outer = open_progress("outer", total=2, file=screen)
    inner = open_progress("inner", total=2, file=screen)
    inner.close()
    outer.close()
    assert "\n\rinner" in screen.getvalue()
    assert screen.getvalue().count("\x1b[A") >= 1


def test_time_and_not_items_decides_when_a_bar_is_drawn(monkeypatch):
    clock, screen = Clock(), Screen()
    monkeypatch.setattr(tqdm.std, "time", clock)
    shown = open_progress(True, total=10**6, file=screen)
    before = screen.writes
    for _ in range(10_000):
        shown.advance()
    assert screen.writes == before
    clock.now += 1
    shown.advance()
    assert "10001/1000000" in screen.getvalue()
    clock.now += 60  # no drawing is missed because the items have become slow
    shown.advance()
    assert "10002/1000000" in screen.getvalue()
    shown.close()


def test_one_thread_at_a_time_is_in_tqdm(background, monkeypatch):
    free = []

    class Watched(tqdm.std.tqdm):
        def update(self, n: int = 1) -> None:
            free.append(background(shown._lock.acquire, False)())
            super().update(n)

    monkeypatch.setattr(tqdm, "tqdm", Watched)
    shown = open_progress(True, total=3, file=Screen())
    shown.advance()
    shown.close()
    assert free == [False]


def test_a_bar_starts_no_thread_and_no_process_and_loads_no_multiprocessing(script):
    out = script("""
        import io, sys, threading
        from manyhands.observe.progress import open_progress

        class Screen(io.StringIO):
            isatty = lambda self: True

        screen = Screen()
        shown = open_progress(True, total=2, file=screen)
        shown.advance()
        print(threading.enumerate() == [threading.main_thread()])
        shown.close()
        print(open(f"/proc/self/task/{threading.get_native_id()}/children").read() == "")
        print("2" in screen.getvalue(), "multiprocessing" in sys.modules, "asyncio" in sys.modules)
    """)
    assert out.split() == ["True", "True", "True", "False", "False"]


def test_a_bar_leaves_the_program_s_own_bars_as_they_are():
    interval = tqdm.std.tqdm.monitor_interval
    open_progress(True, total=2, file=Screen()).close()
    assert tqdm.std.tqdm.monitor_interval == interval > 0


def test_a_bar_takes_the_lock_that_the_program_gave_to_tqdm(monkeypatch):
    lock = threading.RLock()
    monkeypatch.setattr(tqdm.std.tqdm, "_lock", lock, raising=False)
    shown = open_progress(True, total=2, file=Screen())
    assert shown._bar._lock is lock
    shown.close()


# A log


def test_a_log_gets_whole_lines_and_not_before_ten_seconds(clock):
    log = Log()
    shown = open_progress(True, total=100, file=log, clock=clock)
    clock.now += 9.9
    shown.advance(10)
    assert log.getvalue() == ""
    clock.now += 0.1
    shown.advance(10)
    assert log.getvalue() == "20 of 100 (20%) in 10 s, 2.0 item/s, 40 s left\n"
    shown.close()
    assert "\r" not in log.getvalue()


def test_two_lines_are_at_least_ten_seconds_apart(clock):
    log = Log()
    shown = open_progress(True, total=None, file=log, clock=clock)
    for _ in range(36):
        clock.now += 1
        shown.advance()
    assert log.getvalue().splitlines() == [f"{n} in {n} s, 1.0 item/s" for n in (10, 20, 30)]


def test_the_last_line_says_how_many_how_long_and_how_fast(clock):
    log = Log()
    shown = open_progress("resize", total=300, unit="img", file=log, clock=clock)
    clock.now += 5
    shown.advance(300)
    shown.close()
    assert log.getvalue() == "resize: 300 of 300 (100%) in 5.0 s, 60.0 img/s\n"


@pytest.mark.parametrize(
    ("total", "done", "seconds", "line"),
    [
        (0, 0, 0, "0 of 0 in 0.0 s"),
        (None, 0, 4, "0 in 4.0 s"),
        (3, 1, 4, "1 of 3 (33%) in 4.0 s, 4.0 s/item"),
        (1000, 999, 90, "999 of 1000 (99%) in 1 min 30 s, 11.1 item/s"),
        (2, 3, 7201, "3 of 2 (150%) in 2 h 0 min, 2400.3 s/item"),
    ],
)
def test_the_last_line_of_odd_numbers(clock, total, done, seconds, line):
    log = Log()
    shown = open_progress(True, total=total, file=log, clock=clock)
    shown.advance(done)
    clock.now += seconds
    shown.close()
    assert log.getvalue() == line + "\n"


def test_lines_heed_what_a_dict_says_of_them(clock):
    log = Log()
    wish = {"desc": "resize", "unit": " img", "initial": 50, "mininterval": 30, "leave": False, "ncols": 70}
    shown = open_progress(wish, total=100, file=log, clock=clock)
    clock.now += 20
    shown.advance(10)
    clock.now += 10
    shown.advance(20)
    shown.close()
    assert log.getvalue() == "resize: 80 of 100 (80%) in 30 s, 1.0 img/s, 20 s left\n"


def test_a_total_that_becomes_known_is_in_the_next_line(clock):
    log = Log()
    shown = open_progress(True, total=None, file=log, clock=clock)
    shown.total(4)
    shown.advance(4)
    shown.close()
    assert log.getvalue().startswith("4 of 4 (100%)")


def test_a_total_without_end_is_unknown(clock):
    log = Log()
    open_progress({"total": float("inf")}, total=None, file=log, clock=clock).close()
    assert log.getvalue() == "0 in 0.0 s\n"


def test_a_log_needs_no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    log = Log()
    open_progress(True, total=1, file=log).close()
    assert log.getvalue().startswith("0 of 1")


def test_lines_come_at_a_glance_at_the_clock_and_not_at_every_item(clock):
    log = Log()
    shown = open_progress(True, total=10**6, file=log, clock=clock)
    for _ in range(10_000):
        shown.advance()
    assert log.writes == 0


# Nothing


@pytest.mark.parametrize("wish", [False, None, {"disable": True}])
def test_nothing_is_shown_to_nobody(wish):
    screen = Screen()
    shown = open_progress(wish, total=3, file=screen)
    shown.total(4)
    shown.advance()
    shown.close()
    assert screen.writes == 0


def test_showing_nothing_does_not_load_tqdm(script):
    out = script("""
        import sys
        from manyhands.observe.progress import open_progress

        for wish in (False, None, {"disable": True}, print):
            shown = open_progress(wish, total=3)
        print("tqdm" in sys.modules, "typing" in sys.modules)
    """)
    assert out.split() == ["False", "False"]


@pytest.mark.parametrize("stream", [Screen, Log])
def test_the_environment_can_switch_it_off(monkeypatch, stream):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    file = stream()
    open_progress(True, total=3, file=file).close()
    assert file.writes == 0


def test_disable_none_means_only_on_a_terminal():
    log, screen = Log(), Screen()
    open_progress({"disable": None}, total=3, file=log).close()
    open_progress({"disable": None}, total=3, file=screen).close()
    assert log.writes == 0
    assert screen.writes > 0


def test_without_stderr_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    shown = open_progress(True, total=3)
    shown.advance()
    shown.close()


@pytest.mark.parametrize("stream", [Screen, Log])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_closed_stream_ends_the_showing_and_not_the_work(stream, when, clock):
    file = stream()
    if when == "before":
        file.close()
    shown = open_progress(True, total=3, file=file, clock=clock)
    file.close()
    clock.now += 20
    shown.total(4)
    shown.advance()
    shown.close()


@pytest.mark.parametrize("stream", [Screen, Log])
def test_a_stream_that_breaks_ends_the_showing_and_not_the_work(stream, clock, monkeypatch):
    monkeypatch.setattr(tqdm.std, "time", clock)
    file = stream()
    shown = open_progress(True, total=3, file=file, clock=clock)
    file.broken = True
    clock.now += 20
    shown.advance()
    tried = file.writes
    clock.now += 20
    shown.advance()
    shown.total(4)
    shown.close()
    assert file.writes == tried


@pytest.mark.parametrize("stream", [Screen, Log])
def test_a_stream_that_is_broken_from_the_start_shows_nothing(stream):
    file = stream()
    file.broken = True
    shown = open_progress(True, total=3, file=file)
    shown.advance()
    shown.close()


def test_a_broken_stream_does_not_lock_the_bars_of_other_threads(background, clock, monkeypatch):
    monkeypatch.setattr(tqdm.std, "time", clock)
    screen = Screen()
    shown = open_progress(True, total=3, file=screen)
    screen.broken = True
    clock.now += 20
    shown.advance()
    other = Screen()
    background(lambda: open_progress(True, total=3, file=other).close())()
    assert "0/3" in other.getvalue()


# A function


def test_a_function_is_told_the_numbers(clock):
    told = []
    shown = open_progress(lambda done, total: told.append((done, total)), total=None, clock=clock)
    shown.advance(2)
    shown.total(5)
    clock.now += 1
    shown.advance(3)
    shown.close()
    assert told == [(2, None), (5, 5), (5, 5)]


def test_a_function_is_called_ten_times_a_second_at_most(clock):
    told = []
    shown = open_progress(lambda done, total: told.append(done), total=1000, clock=clock)
    for step in range(1000):
        clock.now = 1000.0 + step / 1000
        shown.advance()
    assert len(told) in (10, 11)


def test_a_function_is_told_the_final_state(clock):
    told = []
    shown = open_progress(lambda done, total: told.append((done, total)), total=3, clock=clock)
    for _ in range(3):
        shown.advance()
    assert told == [(1, 3)]
    shown.close()
    shown.close()
    shown.advance()
    assert told == [(1, 3), (3, 3)]


def test_what_a_function_raises_comes_out_and_it_is_called_no_more(clock):
    told = []

    def function(done: int, total: int | None) -> None:
        told.append(done)
        raise KeyError("enough")

    shown = open_progress(function, total=3, clock=clock)
    with pytest.raises(KeyError, match="enough"):
        shown.advance()
    clock.now += 1
    shown.advance()
    shown.close()
    assert told == [1]


def test_nobody_waits_for_a_slow_function(background, clock):
    told, inside, go_on = [], threading.Event(), threading.Event()

    def slow(done: int, total: int | None) -> None:
        told.append((done, total))
        inside.set()
        go_on.wait()

    shown = open_progress(slow, total=5, clock=clock)
    first = background(shown.advance)
    inside.wait()
    clock.now += 1
    shown.advance(4)
    shown.close()
    assert told == [(1, 5)]
    go_on.set()
    first()
    assert told == [(1, 5), (5, 5)]  # the last call is made by the thread that was there


def test_a_function_may_close_the_progress_that_calls_it(clock):
    told = []

    def function(done: int, total: int | None) -> None:
        told.append(done)
        shown.close()

    shown = open_progress(function, total=3, clock=clock)
    shown.advance()
    assert told == [1, 1]


# A notebook


def test_a_notebook_gets_the_bar_of_tqdm_auto(notebook):
    shown = open_progress("resize", total=3)
    shown.advance(2)
    shown.close()
    assert [(bar.n, bar.total, bar.desc) for bar in notebook.opened] == [(2, 3, "resize")]


def test_a_widget_learns_its_new_total_and_keeps_its_numbers(notebook):
    shown = open_progress(True, total=None)
    shown.advance(2)
    start = notebook.opened[0].start_t
    shown.total(3)
    (bar,) = notebook.opened
    assert (bar.container.max, bar.total, bar.n, bar.start_t) == (3, 3, 2, start)
    shown.close()


def test_a_file_in_a_notebook_gets_lines(notebook):
    log = Log()
    open_progress(True, total=3, file=log).close()
    assert log.getvalue().startswith("0 of 3")
    assert notebook.opened == []


# All of them


def openings():
    return [
        pytest.param(True, Screen, id="bar"),
        pytest.param(True, Log, id="lines"),
        pytest.param(lambda done, total: None, Log, id="function"),
        pytest.param(False, Log, id="nothing"),
    ]


@pytest.mark.parametrize(("wish", "stream"), openings())
def test_closing_twice_is_closing_once(wish, stream):
    file = stream()
    shown = open_progress(wish, total=3, file=file)
    shown.close()
    before = file.getvalue()
    shown.close()
    shown.advance()
    shown.total(5)
    shown.close()
    assert file.getvalue() == before


@pytest.mark.parametrize(("wish", "stream"), openings()[:2])
def test_an_abandoned_map_leaves_its_last_state(wish, stream):
    file = stream()

    def results():
        shown = open_progress(wish, total=10, file=file)
        try:
            for number in range(10):
                shown.advance()
                yield number
        finally:
            shown.close()

    iterator = results()
    next(iterator)
    next(iterator)
    iterator.close()
    assert ("2/10" if stream is Screen else "2 of 10") in file.getvalue()
    assert file.getvalue().endswith("\n")


@pytest.mark.parametrize(("wish", "stream"), openings()[:2])
def test_an_exception_that_passes_finds_the_last_state_shown(wish, stream):
    file = stream()
    shown = open_progress(wish, total=10, file=file)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        try:
            shown.advance(4)
            raise KeyboardInterrupt
        finally:
            shown.close()
    assert ("4/10" if stream is Screen else "4 of 10") in file.getvalue()


def test_advances_of_many_threads_are_all_counted(background):
    told, screen, log = [], Screen(), Log()
    all_shown = [
        open_progress(True, total=8000, file=screen),
        open_progress(True, total=8000, file=log),
        open_progress(lambda done, total: told.append(done), total=8000),
    ]

    def work() -> None:
        for _ in range(1000):
            for shown in all_shown:
                shown.advance()

    for result in [background(work) for _ in range(8)]:
        result()
    for shown in all_shown:
        shown.close()
    assert "8000/8000" in screen.getvalue()
    assert "8000 of 8000" in log.getvalue()
    assert told[-1] == 8000
    assert told == sorted(told)


@pytest.mark.parametrize("wish", [True, lambda done, total: print("called", done)])
@pytest.mark.parametrize("live", [True, False])
def test_a_forked_copy_is_silent(forked, ended, tmp_path, monkeypatch, wish, live, capfd):
    path = tmp_path / "shown"
    with path.open("w") as file:
        if live:
            monkeypatch.setattr(module, "_is_terminal", lambda stream: True)
        kept = [open_progress(wish, total=3, file=file)]
        file.flush()
        before = path.read_text()

        def close() -> None:
            kept[0].close()
            kept.clear()  # and no finalizer speaks up
            file.flush()

        assert ended(forked(close)) == 0
        assert path.read_text() == before
        assert capfd.readouterr().out == ""
        kept[0].close()


@pytest.mark.parametrize("wish", [1, 0, 2.5, ["resize"], object(), b"resize"])
def test_a_wish_that_makes_no_sense_is_refused(wish):
    with pytest.raises(UsageError, match=r"True, False, None, a description .*, a dict .*, or a function"):
        open_progress(wish, total=3)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"colonel": "red"}, "colonel"),
        ({"ncols": "wide"}, "ncols"),
        ({"bar_format": "{nope}"}, "nope"),
        ({1: 2}, "1"),
    ],
)
def test_a_dict_that_tqdm_does_not_take_is_refused(wish, says):
    with pytest.raises(UsageError, match=says):
        open_progress(wish, total=3, file=Screen())


@pytest.mark.parametrize("wish", [{"total": "many"}, {"initial": "many"}, {"mininterval": "long"}])
def test_a_dict_that_makes_no_lines_is_refused(wish):
    with pytest.raises(UsageError, match="tqdm"):
        open_progress(wish, total=3, file=Log())


def test_without_tqdm_a_terminal_gets_lines_and_one_warning(monkeypatch, clock):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    screen = Screen()
    with pytest.warns(RuntimeWarning, match=r"pip install 'manyhands\[progress\]'"):
        first = open_progress("resize", total=3, file=screen, clock=clock)
    second = open_progress(True, total=3, file=screen, clock=clock)  # a second warning would be an error
    first.advance(3)
    first.close()
    second.close()
    assert screen.getvalue() == "resize: 3 of 3 (100%) in 0.0 s\n0 of 3 (0%) in 0.0 s\n"
