"""The runtime folder: one service a tree, whatever has become of the last one."""

from __future__ import annotations

import os
import pickle
import select
import signal
import stat
import subprocess
import sys

import pytest

from manyhands.errors import UsageError
from manyhands.search.service import register
from manyhands.search.service.register import AlreadyServedError, claim, folder, read_text, served


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """The folder in which the runtime folder will be."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def root(tmp_path):
    """A folder to serve."""
    made = tmp_path / "a tree"
    made.mkdir()
    return made


def names(runtime) -> list[str]:
    """The endings of what is in the runtime folder."""
    return sorted(path.suffix for path in (runtime / "manyhands").iterdir())


# ---- the folder ----


def test_the_folder_is_made_for_its_user_alone(runtime) -> None:
    before = os.umask(0)
    try:
        assert folder() == os.fsencode(runtime / "manyhands")
    finally:
        os.umask(before)
    assert stat.S_IMODE((runtime / "manyhands").stat().st_mode) == 0o700
    assert folder() == os.fsencode(runtime / "manyhands")  # once more, now that it is there


def test_a_folder_that_others_may_use_is_refused(runtime) -> None:
    (runtime / "manyhands").mkdir()
    (runtime / "manyhands").chmod(0o750)
    with pytest.raises(UsageError, match=r"manyhands may be used by others \(mode 0750\): chmod 700 it"):
        folder()
    assert served() == []


def test_a_link_in_place_of_the_folder_is_refused(runtime, tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (runtime / "manyhands").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="is no folder: remove it"):
        folder()
    assert served() == []


def test_a_folder_of_somebody_else_is_refused(runtime, monkeypatch) -> None:
    folder()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(UsageError, match=r"belongs to user .*, and not to you"):
        folder()
    assert served() == []


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(runtime, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "is" / "not" / "there"))
    with pytest.raises(UsageError, match="cannot be made: No such file or directory; set XDG_RUNTIME_DIR"):
        folder()
    assert served() == []


def test_without_the_variable_or_with_a_relative_one_the_folder_is_where_systems_have_it(monkeypatch) -> None:
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        monkeypatch.setattr(os.path, "isdir", lambda path: path == b"/run/user/%d" % os.getuid())
        assert register.folder_path() == b"/run/user/%d/manyhands" % os.getuid()
        monkeypatch.setattr(os.path, "isdir", lambda path: False)
        assert register.folder_path() == b"/tmp/manyhands-%d" % os.getuid()


# ---- claims ----


def test_a_tree_is_told_to_readers_when_it_is_published_and_not_before(runtime, root) -> None:
    with claim([root], {"hidden": True, "ignore": True, "globs": ["!a b"], "max_file_bytes": 5}) as claimed:
        assert served() == []
        claimed.publish("http://127.0.0.1:8642/")
        (found,) = served()
        assert (found.pid, found.roots, found.url) == (
            os.getpid(),
            (os.fsencode(root),),
            "http://127.0.0.1:8642/",
        )
        assert found.socket_path == os.fsencode(claimed.socket_path)
        assert found.said == (("globs", "!a b"), ("hidden", "true"), ("max_file_bytes", "5"))
        assert found.is_here(os.fsencode(root))


def test_nothing_is_left_of_a_claim_that_was_closed(runtime, root) -> None:
    claimed = claim([root], {})
    open(claimed.socket_path, "wb").close()
    claimed.publish()
    assert names(runtime) == [".socket", ".tree"]
    claimed.close()
    claimed.close()
    assert names(runtime) == []
    with pytest.raises(UsageError, match="this claim was closed"):
        claimed.publish()


def test_a_root_is_known_by_its_real_path(runtime, root, tmp_path) -> None:
    (tmp_path / "link").symlink_to(root)
    with claim([tmp_path / "link"], {}) as claimed:
        assert claimed.roots == (os.fsencode(root),)
        with pytest.raises(AlreadyServedError):
            claim([root, str(root)], {})


def test_a_folder_in_place_of_the_one_that_is_served_is_another(runtime, root) -> None:
    with claim([root], {}) as claimed:
        claimed.publish()
        root.rename(root.with_name("moved"))
        root.mkdir()
        assert not served()[0].is_here(os.fsencode(root))


def test_a_second_service_of_the_same_tree_is_told_who_has_it(runtime, root) -> None:
    with claim([root], {}) as first:
        first.publish("http://127.0.0.1:8642/")
        with pytest.raises(AlreadyServedError) as caught:
            claim([root], {"hidden": True})
    error = caught.value
    assert (error.pid, error.url, error.roots) == (
        os.getpid(),
        "http://127.0.0.1:8642/",
        (os.fsencode(root),),
    )
    assert str(error) == (
        f"{root} is served already by process {os.getpid()}, at http://127.0.0.1:8642/: "
        "use that service, or end it first"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (again.pid, again.url, again.roots, str(again)) == (error.pid, error.url, error.roots, str(error))


def test_a_second_service_is_refused_while_the_first_has_not_said_who_it_is(runtime, root) -> None:
    with claim([root], {}):
        (path,) = (runtime / "manyhands").glob("*.tree")
        path.write_bytes(b"format 1\npid 12")
        with pytest.raises(AlreadyServedError, match="by another process, which has just begun: use"):
            claim([root], {})


def test_other_trees_can_be_served_beside_it(runtime, root, tmp_path) -> None:
    with claim([root], {}) as one, claim([root, tmp_path], {}) as two:
        one.publish()
        two.publish()
        assert sorted(len(found.roots) for found in served()) == [1, 2]


def test_a_tree_can_be_served_again_after_a_close(runtime, root) -> None:
    claim([root], {}).close()
    claim([root], {}).close()


def test_a_path_that_is_too_long_for_a_socket_is_told_before_anything_is_made(
    tmp_path, monkeypatch, root
) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(UsageError, match=r"too long for a socket: .*the most is 107; set XDG_RUNTIME_DIR"):
        claim([root], {})
    assert list((deep / "manyhands").iterdir()) == []


# ---- deaths ----

HOLD = """
import sys
from manyhands.search.service.register import claim
claimed = claim([sys.argv[1]], {})
open(claimed.socket_path, "wb").close()
claimed.publish("http://127.0.0.1:1/")
print("held", flush=True)
sys.stdin.read()
"""


def hold(root) -> subprocess.Popen[bytes]:
    """Another process that serves it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_what_a_killed_service_leaves_is_taken_over(runtime, root) -> None:
    with hold(root) as holder:
        with pytest.raises(AlreadyServedError, match=f"process {holder.pid}, at http://127.0.0.1:1/"):
            claim([root], {})
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert names(runtime) == [".socket", ".tree"]
        with claim([root], {}) as claimed:
            assert not os.path.exists(claimed.socket_path)  # it can be bound
            claimed.publish()
            assert [found.pid for found in served()] == [os.getpid()]
    assert names(runtime) == []


def test_a_child_that_runs_another_program_does_not_keep_the_lock(runtime, root) -> None:
    with claim([root], {}):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        claim([root], {}).close()
    finally:
        child.communicate()


def test_whoever_takes_over_a_file_that_is_just_removed_takes_the_new_one(runtime, root, monkeypatch) -> None:
    first, opened = claim([root], {}), os.open

    def open_and_close_the_first(path, *how, **more):
        fd = opened(path, *how, **more)
        first.close()
        return fd

    monkeypatch.setattr(os, "open", open_and_close_the_first)
    with claim([root], {}) as second:
        monkeypatch.setattr(os, "open", opened)
        assert names(runtime) == [".tree"]
        os.stat(second._tree_path)  # the one that is locked is the one that is there
        with pytest.raises(AlreadyServedError):
            claim([root], {})


def test_of_many_that_want_a_tree_at_once_one_gets_it(runtime, root) -> None:
    begin, out = "import sys; sys.stdin.read(1)\n", subprocess.PIPE
    try_it = begin + HOLD.replace("claimed = claim", "try: claimed = claim").replace(
        "\nopen(", "\nexcept Exception as error: sys.exit(type(error).__name__)\nopen("
    )
    contenders = [
        subprocess.Popen([sys.executable, "-c", try_it, root], stdin=out, stdout=out, stderr=out)
        for _ in range(5)
    ]
    for each in contenders:
        each.stdin.write(b".")
        each.stdin.flush()
    poll = select.poll()
    for each in contenders:
        poll.register(each.stdout, select.POLLIN)
    told = 0
    while told < len(contenders):
        for fd, _ in poll.poll():
            poll.unregister(fd)
            told += 1
    results = [each.communicate() for each in contenders]
    assert sorted(out for out, _ in results) == [b""] * 4 + [b"held\n"]
    assert sorted(error.strip() for _, error in results) == [b""] + [b"AlreadyServedError"] * 4


# ---- texts ----

TEXT = b"format 1\npid 7\nsocket /run/a%20b\nroot /a%FF\nat 1:2\nfilter globs=%21x\nready 1\nend\n"


def test_a_text_is_read() -> None:
    found = read_text(TEXT)
    assert found is not None
    assert (found.pid, found.socket_path, found.roots, found.url) == (7, b"/run/a b", (b"/a\xff",), "")
    assert (found.said, found.is_ready) == ((("globs", "!x"),), True)


@pytest.mark.parametrize("size", range(len(TEXT)))
def test_a_text_that_is_only_half_written_is_nobodys(size) -> None:
    assert read_text(TEXT[:size]) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"format 1", b"format 2"), (b"pid 7", b"pid x"), (b"%FF", b"%F"), (b"at 1:2\n", b""), (b"ready 1\n", b""),
     (b"end\n", b"end\nmore\n"), (b"root /a%FF\n", b""), (b"pid", b"\xff")],
)  # fmt: skip
def test_a_text_that_makes_no_sense_is_nobodys(old, new) -> None:
    assert read_text(TEXT.replace(old, new)) is None


def test_files_that_are_no_texts_do_no_harm_to_readers(runtime, root) -> None:
    os.mkfifo(os.path.join(folder().decode(), "fifo.tree"))
    (runtime / "manyhands" / "folder.tree").mkdir()
    (runtime / "manyhands" / "link.tree").symlink_to("nowhere")
    (runtime / "manyhands" / "odd.tree").write_bytes(b"\xff\0end\n")
    with claim([root], {}) as claimed:
        claimed.publish()
        assert len(served()) == 1


def test_readers_import_nothing_that_takes_long() -> None:
    program = (
        "import sys; before = set(sys.modules); import manyhands.errors, __future__; base = set(sys.modules)\n"
        "import manyhands.search.service.register, manyhands.search.service.frames\n"
        "print(*sorted(set(sys.modules) - base))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    room = "manyhands.search.service"
    assert done.stdout.split() == [
        "manyhands.search",
        room,
        *(f"{room}.{name}" for name in ("frames", "percent", "register")),
    ]
