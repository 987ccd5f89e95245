"""Writing files: whole or not at all, to what a path means, and nothing else is touched."""

import errno
import io
import os
import pty
import random
import stat
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

import pytest

from pixelcnn import files
from pixelcnn.errors import ResourceError
from pixelcnn.files import write_atomically
from together import together

OTHER = 65_534
"""An owner that is not this process."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.write_bytes(b"the old content")
    return path


@pytest.fixture
def shared():
    """A file in a folder that every user of this machine can reach."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "target")
        path.write_bytes(b"the old content")
        Path(folder).chmod(0o777)
        yield path


def run_python(code, *words, **more):
    """Runs code that has ``files`` and ``sys`` in a fresh process."""
    head = "import os, sys; from pixelcnn import files; "
    command = [sys.executable, "-c", head + code, *map(str, words)]
    return subprocess.run(command, check=False, timeout=60, **more)


def as_other(action):
    """The error that an action raises in a child that is nobody in particular, or None."""
    child = os.fork()
    if child == 0:
        try:
            os.setgid(OTHER)
            os.setuid(OTHER)
            action()
        except OSError as error:
            os._exit(error.errno)
        except BaseException:
            os._exit(255)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code or None


# Regular files.


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(target, monkeypatch, fails):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, refuse)
    with pytest.raises(ResourceError, match="cannot write target, which needs 3 bytes"):
        write_atomically(target, b"new")
    assert [p.name for p in target.parent.iterdir()] == ["target"]
    assert target.read_bytes() == b"the old content"


def test_links_in_a_circle_are_an_error_of_the_path(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "below"):
        with pytest.raises(OSError, match=str(path)) as caught:
            write_atomically(path, b"new")
        assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o755, 0o644, 0o666])
def test_the_mode_stays(target, mode):
    target.chmod(mode)
    write_atomically(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("bits", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_bits_that_lend_rights_go(target, bits):
    target.chmod(0o755 | bits)
    write_atomically(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_secret_file_is_at_no_moment_readable_by_others(target, monkeypatch):
    target.chmod(0o600)
    modes, write = [], os.fsync

    def look(handle):
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        write(handle)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(target, b"new")
    assert modes[0] == 0o600


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_the_umask_which_nobody_changes(tmp_path, umask):
    code = (
        f"os.umask({umask}); changed = []; os.umask = changed.append; "
        "files.write_atomically(sys.argv[1], b'new'); assert not changed"
    )
    assert run_python(code, tmp_path / "new").returncode == 0
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~umask


@as_root
def test_owner_and_group_stay(target):
    os.chown(target, OTHER, OTHER)
    write_atomically(target, b"new")
    assert (target.stat().st_uid, target.stat().st_gid) == (OTHER, OTHER)


@as_root
def test_where_the_group_cannot_stay_the_new_one_gets_no_more_than_everybody(shared):
    os.chown(shared, OTHER, 0)
    shared.chmod(0o664)
    assert as_other(lambda: write_atomically(shared, b"new")) is None
    assert (shared.stat().st_gid, stat.S_IMODE(shared.stat().st_mode)) == (OTHER, 0o644)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes")
def test_the_access_list_stays(target):
    entries = [(1, 6, 0xFFFFFFFF), (2, 6, 1234), (4, 0, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF),
               (32, 0, 0xFFFFFFFF)]  # fmt: skip
    packed = b"".join(
        tag.to_bytes(2, "little") + mode.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, mode, who in entries
    )
    try:
        os.setxattr(target, files.ACCESS_LIST, (2).to_bytes(4, "little") + packed)
    except OSError:
        pytest.skip("a file system without access lists")
    before = os.getxattr(target, files.ACCESS_LIST)
    write_atomically(target, b"new")
    assert os.getxattr(target, files.ACCESS_LIST) == before


def test_another_hard_link_keeps_the_old_content(target):
    os.link(target, target.parent / "other")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert (target.parent / "other").read_bytes() == b"the old content"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "𝄞" * 63, "-o", " ", "a\nb", "\udcff", "~"])
def test_any_name_will_do(tmp_path, name):
    write_atomically(tmp_path / name, b"new")
    write_atomically(tmp_path / name, b"newer")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, b"newer")]


def test_a_relative_name_that_looks_like_an_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("-rf", b"new")
    assert (tmp_path / "-rf").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("folder", errno.EISDIR),
        ("missing/file", errno.ENOENT),
        ("target/below", errno.ENOTDIR),
        ("x" * 256, errno.ENAMETOOLONG),
        ("", errno.EISDIR),
        ("..", errno.EISDIR),
    ],
)
@pytest.mark.parametrize("function", [lambda path: write_atomically(path, b""), files.check_target])
def test_an_error_names_the_target_as_it_was_given(target, monkeypatch, name, number, function):
    monkeypatch.chdir(target.parent)
    Path("folder").mkdir()
    with pytest.raises(OSError) as caught:  # noqa: PT011 the number is compared
        function(name)
    assert (caught.value.errno, caught.value.filename) == (number, name)
    assert sorted(os.listdir()) == ["folder", "target"]


@as_root
@pytest.mark.parametrize("function", [lambda path: write_atomically(path, b""), files.check_target])
@pytest.mark.parametrize(
    ("folder", "owner", "mode", "number"),
    [
        (0o755, 0, 0o666, errno.EACCES),  # the folder is somebody else's
        (0o1777, 0, 0o666, errno.EPERM),  # as /tmp: a file of somebody else
        (0o1777, OTHER, 0o600, None),
        (0o777, OTHER, 0o444, errno.EACCES),  # a file that its owner has protected
        (0o777, 0, 0o644, errno.EACCES),
        (0o777, 0, 0o666, None),
    ],
)
def test_what_may_not_be_written(shared, function, folder, owner, mode, number):
    shared.parent.chmod(folder)
    shared.chmod(mode)
    os.chown(shared, owner, -1)
    assert as_other(lambda: function(shared)) == number
    if number is not None:
        assert shared.read_bytes() == b"the old content"


def test_several_at_once_leave_one_of_them(target):
    contents = [bytes([number]) * 100_000 for number in range(8)]
    together(*(partial(write_atomically, target, content) for content in contents))
    assert target.read_bytes() in contents
    assert [p.name for p in target.parent.iterdir()] == ["target"]


def test_without_following_a_link_is_replaced(target):
    link = target.parent / "link"
    link.symlink_to(target)
    write_atomically(link, b"new", follow=False)
    assert (link.is_symlink(), link.read_bytes()) == (False, b"new")
    assert target.read_bytes() == b"the old content"


def random_tree(root, draw):
    """Folders, files and links to one another, some of them dangling or in a circle; gives their paths."""
    folders, paths = [root], []
    for number in range(draw.randint(3, 12)):
        path = draw.choice(folders) / f"n{number}"
        kind = draw.choice(["file", "folder", "link", "link", "link"])
        if kind == "folder":
            path.mkdir()
            folders.append(path)
        elif kind == "file":
            path.write_bytes(b"the old content")
        else:
            goal = draw.choice([*folders, *paths, path, root / "new", root / "missing" / "new"])
            relative = draw.random() < 0.5
            path.symlink_to(os.path.relpath(goal, path.parent) if relative else goal)
        paths.append(path)
    return [draw.choice(folders) / "new", *paths]


def test_in_any_tree_the_file_that_is_meant_is_written_and_no_other(tmp_path):
    draw, written = random.Random(0), 0
    for number in range(12):
        root = tmp_path / str(number)
        root.mkdir()
        for path in random_tree(root, draw):
            before = {p: os.lstat(p).st_mode for p in root.rglob("*")}
            contents = {p: p.read_bytes() for p in before if stat.S_ISREG(before[p])}
            meant = Path(os.path.realpath(path))
            content = f"{path}".encode()
            try:
                write_atomically(path, content)
            except OSError:
                assert meant.is_dir() or meant.is_symlink() or not meant.parent.is_dir()
            else:
                before[meant], contents[meant] = stat.S_IFREG, content
                written += 1
            after = {p: os.lstat(p).st_mode for p in root.rglob("*")}
            assert {p: stat.S_IFMT(m) for p, m in after.items()} == {
                p: stat.S_IFMT(m) for p, m in before.items()
            }
            assert contents == {p: p.read_bytes() for p in contents}
    assert written > 30


# What is no regular file.


@pytest.mark.parametrize("name", ["/dev/null", "link"])
def test_a_device_stays_a_device(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("/dev/null")
    write_atomically(name, b"new")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert Path("link").is_symlink()


def test_a_full_device_is_a_full_disk():
    with pytest.raises(ResourceError, match="disk full: cannot write full"):
        write_atomically("/dev/full", b"new")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


WAYS = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("mode", "expected"), [("wb", b"one two"), ("ab", b"zero one two")])
def test_stdout_goes_on_where_it_is(tmp_path, way, mode, expected):
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "log").write_bytes(b"zero ")
    code = "print('one ', end=''); files.write_atomically(sys.argv[1], b'two')"
    with (tmp_path / "log").open(mode) as log:
        assert run_python(code, way, stdout=log, cwd=tmp_path).returncode == 0
    assert (tmp_path / "log").read_bytes() == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "log"]


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_pipe_gets_all_of_it_however_slowly_it_is_read(tmp_path, way):
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = "os.set_blocking(1, False); files.write_atomically(sys.argv[1], b'x' * 300_000)"
    outcome = run_python(code, way, stdout=subprocess.PIPE, cwd=tmp_path)
    assert (outcome.returncode, len(outcome.stdout)) == (0, 300_000)


@pytest.mark.parametrize("way", ["/dev/fd/999", "/proc/self/fd/999", "/dev/fd/99999999999"])
def test_a_descriptor_that_is_not_open_is_an_error_of_the_path(way):
    with pytest.raises(OSError, match=way):
        files.check_target(way)
    with pytest.raises(OSError, match=way):
        write_atomically(way, b"new")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_an_open_file_of_another_process_is_written_into():
    """Such as what the first process of a container prints to."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        write_atomically(f"/proc/{other.pid}/fd/0", b"new")
        assert other.communicate()[0] == b"new"


def test_a_pipe_that_nobody_reads_any_more_is_a_broken_pipe():
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        write_atomically(f"/dev/fd/{theirs}", b"new")
    os.close(theirs)


def test_short_writes_are_continued(monkeypatch):
    ours, theirs = os.pipe()
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:2]))
    write_atomically(f"/dev/fd/{theirs}", b"content")
    os.close(theirs)
    assert os.read(ours, 100) == b"content"
    os.close(ours)


def test_a_named_pipe_is_written_into_and_waited_for(tmp_path):
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    writer = threading.Thread(target=write_atomically, args=(fifo, b"new"))
    writer.start()
    assert fifo.read_bytes() == b"new"
    writer.join()
    assert stat.S_ISFIFO(fifo.stat().st_mode)


# In parts.


def parts_of(*contents):
    """Parts, and an error in the place of one."""
    for content in contents:
        if isinstance(content, BaseException):
            raise content
        yield content


def test_parts_are_taken_one_after_another_as_they_are_written(target):
    size = 3 * io.DEFAULT_BUFFER_SIZE

    def parts():
        yield b"a" * size
        (temporary,) = target.parent.glob(".target.*.tmp")
        assert temporary.stat().st_size == size
        assert target.read_bytes() == b"the old content"
        yield b"b"

    write_atomically(target, parts())
    assert target.read_bytes() == b"a" * size + b"b"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "of another file"), KeyboardInterrupt()])
def test_what_making_a_part_raises_is_passed_on_and_nothing_is_left(target, error):
    with pytest.raises(type(error)) as caught:
        write_atomically(target, parts_of(b"new", error))
    assert caught.value is error
    assert [p.name for p in target.parent.iterdir()] == ["target"]
    assert target.read_bytes() == b"the old content"


def test_no_part_is_made_for_a_place_that_cannot_be_written(tmp_path):
    def parts():
        raise AssertionError
        yield b""

    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "new", parts())


def test_a_pipe_gets_each_part_when_it_is_made():
    ours, theirs = os.pipe()

    def parts():
        yield b"first"
        assert os.read(ours, 100) == b"first"
        yield b"second"

    write_atomically(f"/dev/fd/{theirs}", parts())
    os.close(theirs)
    assert os.read(ours, 100) == b"second"
    os.close(ours)


def test_what_a_path_means_is_known_before(target, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    direct = [tmp_path / "fifo", tmp_path / "link", "/dev/null", "/dev/stdout", "/dev/fd/7"]
    assert all(map(files.is_direct, direct))
    assert not any(map(files.is_direct, [target, tmp_path, tmp_path / "new", target / "below"]))


def test_stdout_is_known_by_any_name(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    code = (
        "names = ['/dev/stdout', '/dev/fd/1', '/dev/fd/2', '/dev/null', 'fifo', 'new', '/dev/fd/77']; "
        "os.dup2(1, 5); names.append('/dev/fd/5'); sys.exit(sum(files.is_stdout(n) for n in names))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    assert run_python(code, cwd=tmp_path, **pipes).returncode == 3


def test_a_terminal_is_known(target):
    ours, theirs = pty.openpty()
    assert files.is_terminal(f"/dev/fd/{theirs}")
    assert files.is_terminal(os.ttyname(theirs))
    assert not files.is_terminal("/dev/null")
    assert not files.is_terminal(target)
    os.close(ours)
    os.close(theirs)
