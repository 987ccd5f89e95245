"""Folders that may come from anybody: no link in them is followed, and names are names."""

import os
import socket
import stat

import pytest

from pixelcnn.errors import ConfigError
from pixelcnn.folders import (
    append_inside,
    check_folder,
    check_name,
    is_plain,
    open_inside,
    read_inside,
    write_inside,
)


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(b"dear to somebody")
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder" / "ours" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "theirs" / "deep").mkdir(parents=True)
    return tmp_path / "folder"


TRAPS = {
    "link": lambda path, victim: path.symlink_to(victim),
    "relative link": lambda path, victim: path.symlink_to(os.path.relpath(victim, path.parent)),
    "dangling link": lambda path, victim: path.symlink_to(victim.parent / "made"),
    "link to a folder": lambda path, victim: path.symlink_to(victim.parent),
    "hard link": lambda path, victim: os.link(victim, path),
    "pipe": lambda path, victim: os.mkfifo(path),
    "socket": lambda path, victim: socket_at(path),
    "device": lambda path, victim: path.symlink_to("/dev/zero"),
}
"""What can lie where a file of the folder's own belongs."""

OPENINGS = {
    "read": read_inside,
    "append": lambda path: append_inside(path, b"more"),
    "sync": lambda path: append_inside(path, b"", sync=True),
    "write": lambda path: write_inside(path, b"new"),
    "lock": lambda path: os.close(open_inside(path, os.O_RDWR | os.O_CREAT)),
}


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # a name of a socket is short


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("opening", OPENINGS)
def test_only_a_file_of_the_folders_own_is_opened(folder, victim, trap, opening):
    path = folder / "file"
    TRAPS[trap](path, victim)
    with pytest.raises(ConfigError, match=r"file (is|has) .*, and is not touched"):
        OPENINGS[opening](path)
    assert victim.read_bytes() == b"dear to somebody"
    assert not (victim.parent / "made").exists()


@pytest.mark.parametrize("trap", ["link", "hard link"])
def test_what_is_exchanged_after_the_look_is_not_opened(folder, victim, trap, monkeypatch):
    path, look = folder / "file", os.lstat
    path.write_bytes(b"harmless")

    def exchange(*words, **more):
        found = look(*words, **more)
        path.unlink()
        TRAPS[trap](path, victim)
        return found

    monkeypatch.setattr(os, "lstat", exchange)
    with pytest.raises((ConfigError, OSError)):
        append_inside(path, b"more")
    assert victim.read_bytes() == b"dear to somebody"


def test_files_of_the_folders_own_are_read_written_and_added_to(folder):
    append_inside(folder / "file", b"one")
    append_inside(folder / "file", b" two", sync=True)
    assert read_inside(folder / "file") == b"one two"
    (folder / "file").chmod(0o600)
    write_inside(folder / "file", b"three")
    assert read_inside(folder / "file") == b"three"
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o600


@pytest.mark.parametrize("place", [".", "ours", "ours/deep"])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_folder_with_a_trap_is_refused(folder, victim, trap, place):
    check_folder(folder, ("ours",))
    TRAPS[trap](folder / place / "file", victim)
    with pytest.raises(ConfigError, match=r"file (is|has) .*, and is not touched"):
        check_folder(folder, ("ours",))


def test_the_folder_itself_may_be_reached_by_a_link(folder, victim):
    link = folder.parent / "link"
    link.symlink_to(folder)
    (folder / "file").write_bytes(b"")
    check_folder(link, ("ours",))
    check_folder(folder.parent / "missing")


@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_a_link_in_place_of_a_folder_is_refused(folder, victim, name):
    (folder / name / "deep").rmdir()
    (folder / name).rmdir()
    (folder / name).symlink_to(victim.parent)
    with pytest.raises(ConfigError, match=f"{name} is a symbolic link"):
        check_folder(folder, ("ours",))


def test_folders_of_others_may_hold_links_that_stay_inside(folder, victim):
    (folder / "best").write_bytes(b"")
    (folder / "theirs" / "latest").symlink_to("deep")
    (folder / "theirs" / "deep" / "kept").symlink_to(folder / "best")
    socket_at(folder / "theirs" / "socket")
    check_folder(folder, ("ours",))
    (folder / "theirs" / "deep" / "log").symlink_to(victim)
    with pytest.raises(ConfigError, match="log is a symbolic link"):
        check_folder(folder, ("ours",))


@pytest.mark.parametrize("name", ["digits", "my recipe (2)", "größer", "-x", "a.b", "x" * 100])
def test_plain_names(name):
    assert is_plain(name)
    check_name(name, "a recipe")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "../x", "a/b", "a\\b", "/", "/etc/x", "a\nb", "a\x1b[2J", "a\x00b",
     "\u202ea", " a", "a ", "x" * 101, "é" * 51, "\ud800"],
)  # fmt: skip
def test_names_that_are_paths_or_worse(name):
    assert not is_plain(name)
    with pytest.raises(ConfigError, match="cannot be the name of a recipe"):
        check_name(name, "a recipe")


@pytest.mark.parametrize("name", [3, None, True, b"digits", ["digits"]])
def test_a_name_is_a_text(name):
    with pytest.raises(ConfigError, match="cannot be the name of a recipe"):
        check_name(name, "a recipe")
