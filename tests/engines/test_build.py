"""Compiled code: built once, private, believed only if unchanged, and never in the way."""

import contextlib
import ctypes
import errno
import fcntl
import grp
import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixelcnn import compiling
from pixelcnn.compiling import NotBuilt, compiler
from pixelcnn.compiling import cache as libraries
from pixelcnn.engines.native import build
from together import together

pytestmark = pytest.mark.skipif(bool(build.why_not()), reason="no native engine here")

SOURCE = {"tiny.cpp": b'extern "C" int tiny_seven() { return 7; }'}
FOREIGN = 12345
"""A user that is not this one."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def build_tiny(place, source):
    (place / "tiny.cpp").write_bytes(source)
    command = [compiling.find_compiler(), "-shared", "-fPIC", "tiny.cpp", "-o", "tiny.so"]
    subprocess.run(command, cwd=place, check=True)
    return place / "tiny.so"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A library that was built, as a file."""
    return build_tiny(tmp_path_factory.mktemp("tiny"), SOURCE["tiny.cpp"])


class Cache:
    """An empty cache, and a compiler that counts."""

    def __init__(self, root, tiny):
        self.root, self.tiny = root, tiny
        self.home = root / "cache"
        self.folder = self.home / "pixelcnn" / "native"
        self.count = root / "count"
        self.compiler = root / "compiler"
        self.compiles(f'cp {tiny} "$last"')

    def compiles(self, script, version="1"):
        """What the compiler does; ``$last`` is the library."""
        self.compiler.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit\n'
            f"echo >> {self.count}\nfor last; do :; done\n{script}\n"
        )
        self.compiler.chmod(0o755)

    def load(self, functions=("tiny_seven",), **sources):
        return compiling.load("tiny", SOURCE | sources, functions)

    def seven(self):
        return self.load().tiny_seven()

    @property
    def compiled(self):
        """How often the compiler has run."""
        return len(self.count.read_text()) if self.count.exists() else 0

    def file(self, suffix):
        return next(self.folder.glob(f"*.{suffix}"))

    def names(self):
        return sorted(path.suffix or path.name for path in self.folder.iterdir())

    def put(self, content):
        """Another library, with the right hash beside it."""
        file = self.file("so")
        file.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        self.file("sha256").write_text(f"{digest}  {file.name}\n")


@pytest.fixture
def cache(tmp_path, monkeypatch, tiny, caplog):
    found = Cache(tmp_path, tiny)
    monkeypatch.setenv("XDG_CACHE_HOME", str(found.home))
    monkeypatch.setenv("CXX", str(found.compiler))
    monkeypatch.setattr(compiling, "_told", set())
    caplog.set_level(logging.INFO, "pixelcnn")
    return found


@pytest.fixture
def engine_afresh():
    build._tried.cache_clear()
    yield
    build._tried.cache_clear()


def notes(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "pixelcnn"]


# ---------------------------------------------------------------- building once


def test_a_library_is_built_once(cache, caplog):
    assert [cache.seven() for _ in range(3)] == [7, 7, 7]
    assert cache.compiled == 1
    assert notes(caplog) == ["building the native tiny, once"]
    assert cache.names() == [".sha256", ".so", "lock"]


@pytest.mark.slow
def test_a_real_compiler_builds_it(cache, monkeypatch):
    monkeypatch.delenv("CXX")
    assert cache.seven() == 7


def test_of_several_words_the_last_program_is_the_compiler(cache, monkeypatch):
    monkeypatch.setenv("CXX", f"ccache {cache.compiler} -pipe")
    assert cache.seven() == 7 and cache.compiled == 1


def test_a_change_of_the_source_builds_anew():
    found = compiling.find_compiler()
    sources = compiling.sources_of("pixelcnn.engines.native", "engine.cpp")
    known = compiling.key(sources, found)
    for name in sources:
        assert compiling.key(sources | {name: sources[name] + b"\n"}, found) != known
    moved = dict(zip(sources, reversed(sources.values()), strict=True))
    assert compiling.key(moved, found) != known


def test_the_language_of_the_user_builds_nothing_anew(cache, monkeypatch):
    cache.compiles(f'cp {cache.tiny} "$last"', version='"$LC_ALL$LANG"')
    monkeypatch.setenv("LANG", "")
    for language in ("C", "de_DE.UTF-8"):
        monkeypatch.setenv("LC_ALL", language)
        assert cache.seven() == 7
    assert cache.compiled == 1


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_cache_is_private_whatever_the_umask(cache, monkeypatch, umask):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.home / "not" / "there"))
    before = os.umask(umask)
    try:
        assert [cache.seven(), cache.seven()] == [7, 7]
    finally:
        os.umask(before)
    assert cache.compiled == 1
    made = [path for path in cache.home.rglob("*") if path.is_dir() or path.suffix]
    assert not any(path.stat().st_mode & 0o077 for path in (cache.home, *made))


def obtain(stem="key"):
    return libraries.obtain("tiny", stem, SOURCE, os.environ["CXX"], ("tiny_seven",))


def test_many_that_start_at_once_compile_once(cache, caplog):
    cache.compiles(f'sleep 0.3\ncp {cache.tiny} "$last"')
    together(*[obtain] * 8)
    assert cache.compiled == 1
    waiting = "another process builds the native tiny: waiting for it"
    assert notes(caplog).count(waiting) == 7


@pytest.mark.slow
def test_many_processes_that_start_at_once_compile_once(cache):
    cache.compiles(f'sleep 1\ncp {cache.tiny} "$last"')
    command = [sys.executable, "-c", PROGRAM]
    running = [subprocess.Popen(command) for _ in range(8)]
    assert [process.wait() for process in running] == [0] * 8
    assert cache.compiled == 1


def test_a_file_system_without_locks_is_none_the_worse(cache, monkeypatch):
    def without(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    assert cache.seven() == 7


def test_what_nobody_has_used_for_long_is_removed_by_the_next_build(cache):
    cache.seven()
    used, unused, left = (cache.folder / name for name in ("a.so", "b.so", "build-0123"))
    used.touch()
    unused.touch()
    left.mkdir()
    (left / "tiny.cpp").touch()
    for path in (unused, left, cache.folder / "lock"):
        os.utime(path, (time.time() - 2 * libraries.UNUSED,) * 2)
    cache.load(**{"tiny.h": b"new"})
    assert cache.names() == [".sha256", ".sha256", ".so", ".so", ".so", "lock"]
    assert used.exists()


# ---------------------------------------------------------------- what lies in the cache


def _truncated(cache):
    os.truncate(cache.file("so"), 4096)


def _empty(cache):
    os.truncate(cache.file("so"), 0)


def _half_a_hash(cache):
    os.truncate(cache.file("sha256"), 32)


def _pipe(cache):
    path = cache.file("so")
    path.unlink()
    os.mkfifo(path)


def _link(cache):
    path = cache.file("so")
    path.rename(cache.root / "elsewhere.so")
    path.symlink_to(cache.root / "elsewhere.so")


def _second_name(cache):
    """As a copy of links (``cp -al``) gives all of them."""
    for name in os.listdir(cache.folder):
        os.link(cache.folder / name, cache.root / f"second-{name}")


def _writable(cache):
    cache.file("so").chmod(0o666)


def _foreign_hash(cache):
    os.chown(cache.file("sha256"), FOREIGN, FOREIGN)


def _renamed(cache):
    """Another library of ours, with its hash, under this name."""
    file, digest = cache.file("so"), cache.file("sha256")
    other = hashlib.sha256(file.read_bytes()).hexdigest()
    digest.write_text(f"{other}  tiny-{'0' * 24}.so\n")


def _no_library(cache):
    cache.put(b"junk")


def _other_class(cache):
    content = bytearray(cache.file("so").read_bytes())
    content[4] ^= 3  # of 32 bits instead of 64
    cache.put(bytes(content))


DAMAGES = (
    *(_truncated, _empty, _half_a_hash, _pipe, _link, _second_name),
    *(_writable, _renamed, _no_library, _other_class),
    pytest.param(_foreign_hash, marks=as_root),
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_what_was_built_is_built_anew_once(cache, caplog, damage):
    cache.seven()
    damage(cache)
    caplog.clear()
    assert [cache.seven(), cache.seven()] == [7, 7]
    assert cache.compiled == 2
    (note,) = notes(caplog)
    assert note.startswith("building the native tiny anew: ")
    assert cache.names() == [".sha256", ".so", "lock"]


def test_any_byte_that_has_changed_is_noticed(cache):
    cache.seven()
    content = cache.file("so").read_bytes()
    for place in range(0, len(content), len(content) // 100):
        cache.file("so").write_bytes(
            content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        )
        with pytest.raises(libraries._Damaged, match="has changed"):
            libraries._take(cache.file("so"), ())


def test_a_library_without_our_functions_is_built_anew(cache, caplog):
    with pytest.raises(NotBuilt, match="lacks tiny_eight"):
        cache.load(("tiny_seven", "tiny_eight"))
    with pytest.raises(NotBuilt, match="lacks tiny_eight; to be tried again"):
        cache.load(("tiny_seven", "tiny_eight"))
    assert cache.compiled == 1
    assert cache.seven() == 7


def test_a_missing_hash_is_a_missing_library(cache, caplog):
    cache.seven()
    cache.file("sha256").unlink()
    caplog.clear()
    assert cache.seven() == 7
    assert notes(caplog) == ["building the native tiny, once"]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory here")
def test_no_other_bytes_are_loaded_than_were_checked(cache):
    loaded = cache.load()
    os.truncate(cache.file("so"), 0)
    assert loaded.tiny_seven() == 7


def test_without_files_in_memory_it_is_loaded_from_the_folder(cache, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert cache.seven() == 7


def test_what_was_loaded_before_is_not_taken_for_what_is_loaded_now(cache, monkeypatch):
    first = cache.load()
    with monkeypatch.context() as real:
        real.delenv("CXX")
        other = build_tiny(cache.root, SOURCE["tiny.cpp"].replace(b"7", b"8"))
    cache.put(other.read_bytes())
    assert (first.tiny_seven(), cache.seven()) == (7, 8)


# ---------------------------------------------------------------- the way to it


@pytest.mark.parametrize("part", ["native", "."])
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o1777])
def test_our_own_folders_are_closed_to_others(cache, part, mode):
    cache.seven()
    place = cache.folder.parent / part
    place.chmod(mode)
    assert cache.seven() == 7
    assert not place.stat().st_mode & 0o022


@pytest.mark.parametrize("mode", [0o777, 0o722])
def test_a_folder_that_others_could_write_is_refused(cache, mode):
    cache.seven()
    cache.home.chmod(mode)
    with pytest.raises(NotBuilt, match=r"other users can write into .*cache;"):
        cache.load()


@as_root
def test_the_cache_may_lie_where_entries_are_their_owners(cache):
    cache.home.mkdir()
    cache.home.chmod(0o1777)  # as /tmp
    assert cache.seven() == 7


@as_root
def test_a_group_may_write_that_is_the_users_alone(cache):
    cache.home.mkdir()
    cache.home.chmod(0o775)
    os.chown(cache.home, 0, FOREIGN)
    with pytest.raises(NotBuilt, match="other users can write into"):
        cache.load()
    os.chown(cache.home, 0, 0)  # root's own, where nobody else is in it
    cache.home.chmod(0o775)
    if set(grp.getgrgid(0).gr_mem) <= {"root"}:
        assert cache.seven() == 7


@as_root
@pytest.mark.parametrize("part", ["cache", "cache/pixelcnn", "cache/pixelcnn/native"])
def test_a_folder_of_another_user_is_refused(cache, part):
    cache.seven()
    os.chown(cache.root / part, FOREIGN, FOREIGN)
    with pytest.raises(NotBuilt, match=f"{part} belongs to another user"):
        cache.load()


@pytest.mark.parametrize("part", ["cache", "cache/pixelcnn", "cache/pixelcnn/native"])
def test_a_link_of_the_users_own_is_followed(cache, part):
    """One that leads to what is not there, too: disks for a while are emptied."""
    link, target = cache.root / part, cache.root / "other" / "disk"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))
    assert [cache.seven(), cache.seven()] == [7, 7]
    assert cache.compiled == 1
    assert list(target.rglob("*.so"))


def test_what_a_link_leads_through_is_held_to_the_same(cache):
    (cache.root / "open" / "disk").mkdir(parents=True)
    (cache.root / "open").chmod(0o777)
    cache.home.symlink_to(cache.root / "open" / "disk")
    with pytest.raises(NotBuilt, match=r"other users can write into .*open;"):
        cache.load()


def test_links_in_a_circle_come_to_an_end(cache):
    cache.home.symlink_to("cache")
    with pytest.raises(NotBuilt, match=r"no cache for compiled code in .*cache"):
        cache.load()


@pytest.mark.parametrize("home", [None, "", "/", "/no/such/folder", "relative"])
def test_without_a_home_there_is_a_note_and_no_engine(cache, monkeypatch, caplog, home):
    monkeypatch.delenv("XDG_CACHE_HOME")
    if home is None:
        monkeypatch.setattr(libraries.os.path, "expanduser", lambda path: path)
    else:
        monkeypatch.setenv("HOME", home)
    for _ in range(2):
        with pytest.raises(NotBuilt, match="there is no home folder"):
            cache.load()
    (note,) = notes(caplog)
    assert note.startswith("PyTorch computes, without compiled code: there is no home folder")
    assert not Path("/.cache/pixelcnn").exists()


def test_a_relative_cache_is_ignored(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(cache.root))
    cache.seven()
    assert (cache.root / ".cache" / "pixelcnn" / "native").is_dir()


@pytest.mark.parametrize("place", ["compiler/x", "/proc/no/such", "/dev/null"])
def test_a_cache_that_cannot_be_written_is_a_reason(cache, monkeypatch, place):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.root / place))
    with pytest.raises(NotBuilt, match="no cache for compiled code in "):
        cache.load()


@pytest.mark.parametrize("step", ["mkdir", "replace"])
def test_a_disk_that_is_full_is_a_reason_and_not_remembered(cache, monkeypatch, step):
    def full(path, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(NotBuilt, match="No space left on device"):
            cache.load()
    assert cache.seven() == 7
    assert cache.names() == [".sha256", ".so", "lock"]


def test_a_file_system_that_runs_no_programs_is_a_reason(cache, monkeypatch):
    monkeypatch.setattr(libraries.os, "ST_NOEXEC", os.ST_RDONLY | 0xFFFF, raising=False)
    monkeypatch.setattr(libraries.os, "statvfs", lambda _: os.statvfs_result((1,) * 10))
    with pytest.raises(NotBuilt, match="noexec"):
        cache.load()


# ---------------------------------------------------------------- compilers that fail


def test_no_compiler_is_a_reason_and_no_error(cache, monkeypatch, engine_afresh):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no C++ compiler (no-such-compiler)" in build.why_not()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'error: broken' >&2; exit 1", "error: broken"),
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "exit code -9"),
        ("exit 0", "made no library"),
        ('mkdir "$last"', "made no library"),
        ('echo junk > "$last"', "made no usable library: .*cannot be loaded"),
    ],
)
def test_a_build_that_fails_is_remembered(cache, caplog, script, reason):
    cache.compiles(script)
    for _ in range(3):
        with pytest.raises(NotBuilt, match=reason):
            cache.load()
    assert cache.compiled == 1
    assert not [name for name in cache.folder.iterdir() if name.is_dir()]


def test_a_build_that_failed_is_tried_again_when_something_has_changed(cache, monkeypatch):
    cache.compiles("exit 1")
    for compiled, version, sources, day in (
        (1, "1", {}, "2026-01-01"),
        (2, "2", {}, "2026-01-01"),
        (3, "2", {"tiny.h": b"new"}, "2026-01-01"),
        (4, "2", {"tiny.h": b"new"}, "2026-01-02"),
    ):
        cache.compiles("exit 1", version)
        monkeypatch.setattr(libraries, "_today", lambda day=day: day)
        for _ in range(2):
            with pytest.raises(NotBuilt):
                cache.load(**sources)
        assert cache.compiled == compiled
    cache.compiles(f'cp {cache.tiny} "$last"', "2")
    monkeypatch.setattr(libraries, "_today", lambda: "2026-01-03")
    assert cache.load(**{"tiny.h": b"new"}).tiny_seven() == 7


def test_a_compiler_whose_disk_is_full_is_tried_again(cache):
    cache.compiles("echo 'fatal error: error writing: No space left on device' >&2; exit 1")
    with pytest.raises(NotBuilt, match="No space left"):
        cache.load()
    cache.compiles(f'cp {cache.tiny} "$last"')
    assert cache.seven() == 7


def test_a_compiler_that_hangs_is_ended(cache, monkeypatch):
    cache.compiles(f"sleep 1000 &\necho $! > {cache.root}/pid\nwait")
    monkeypatch.setattr(compiler, "PATIENCE", 0.3)
    with pytest.raises(NotBuilt, match="took more than"):
        cache.load()
    assert gone(int((cache.root / "pid").read_text()))


# ---------------------------------------------------------------- signals

PROGRAM = """
from pixelcnn import compiling
compiling.load("tiny", {"tiny.cpp": b"source"}, ("tiny_seven",))
"""


def gone(number):
    """Whether a process has ended, or does within a second."""
    for _ in range(50):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if Path(f"/proc/{number}/stat").read_text().split(") ")[1][0] != "Z":
                time.sleep(0.02)
                continue
        return True
    return False


def wait_for(path):
    for _ in range(500):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.02)
    raise TimeoutError(path)


INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""What a shell starts in the background ignores Ctrl-C."""


def test_ctrl_c_ends_the_compiler_too(cache):
    cache.compiles(f"sleep 1000 &\necho $! > {cache.root}/pid\nwait")
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + PROGRAM], stderr=subprocess.DEVNULL
    )
    child = int(wait_for(cache.root / "pid"))
    running.send_signal(signal.SIGINT)
    assert running.wait(10) == -signal.SIGINT
    assert gone(child)
    assert cache.names() == ["lock"]


def test_ctrl_c_ends_waiting_and_a_dead_process_holds_no_lock(cache):
    cache.compiles(f"echo $$ > {cache.root}/pid\nexec sleep 1000")
    holder = subprocess.Popen([sys.executable, "-c", PROGRAM])
    child = int(wait_for(cache.root / "pid"))
    said = cache.root / "said"
    told = f"import logging; logging.basicConfig(level=20, filename={str(said)!r})\n"
    waiter = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + told + PROGRAM], stderr=subprocess.DEVNULL
    )
    assert "waiting for it" in wait_for(said)
    waiter.send_signal(signal.SIGINT)
    assert waiter.wait(10) == -signal.SIGINT
    holder.kill()
    holder.wait()
    cache.compiles(f'cp {cache.tiny} "$last"')
    assert cache.seven() == 7
    os.kill(child, signal.SIGKILL)


# ---------------------------------------------------------------- the commands


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/proc/no/such", "/dev/null/x"])
def test_a_command_goes_on_without_a_cache_and_says_so_once(tmp_path, place):
    environment = os.environ | {"XDG_CACHE_HOME": place}
    start = [sys.executable, "-m", "pixelcnn"]
    train = ["train", "--epochs", "1", "--max-time", "1s", "--run", str(tmp_path / "run")]
    sample = ["sample", str(tmp_path / "run"), "-n", "1", "--out", str(tmp_path / "a.png")]
    for command in (train, sample):
        done = subprocess.run(
            [*start, *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0
        assert done.stderr.count("without compiled code: no cache for compiled code") == 1


def test_the_engine_has_the_functions_that_it_is_asked_for():
    assert isinstance(build.library(), ctypes.CDLL)
    source = b"".join(compiling.sources_of("pixelcnn.engines.native", "engine.cpp").values())
    names = [f"pixelcnn_{name}(" for name in (*build.FUNCTIONS, *build.OTHERS)]
    assert all(name.encode() in source for name in names)
