"""The gate before every data file: what is no file, what is not there, and what does not fit into memory."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from pixelcnn import data, memory
from pixelcnn.data.opening import named, opened
from pixelcnn.errors import DataError, PixelCNNError, ResourceError

SUFFIXES = (".npy", ".npz", ".csv", ".png")


def bind(path):
    with socket.socket(socket.AF_UNIX) as place:
        place.bind(path.name)


NO_FILES = {
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "socket": bind,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to a pipe": lambda path: (os.mkfifo("p"), path.symlink_to("p")),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch, suffix, kind):
    monkeypatch.chdir(tmp_path)
    path = Path(f"x{suffix}")
    NO_FILES[kind](path)
    with pytest.raises(DataError, match="is not a regular file"):
        opened(path)
    with pytest.raises(DataError):
        data.load_all(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("target", ["nowhere", "x"])
def test_a_link_that_leads_nowhere_is_no_file(tmp_path, suffix, target):
    path = tmp_path / f"x{suffix}"
    path.symlink_to(tmp_path / f"{target}{suffix}")
    with pytest.raises(DataError, match="no file or folder"):
        data.load_all(path)
    with pytest.raises(DataError, match="cannot be read"):
        opened(path)


def test_opening_leaves_no_descriptor_behind(tmp_path):
    (tmp_path / "empty").touch()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        with pytest.raises(DataError, match="is empty"):
            opened(tmp_path / "empty")
    assert not before or len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY", b"hello", bytes(300), b"%!PS-Adobe-3.0"],
)
@pytest.mark.parametrize("suffix", [*SUFFIXES, ".tif", ".gif"])
def test_any_content_under_any_suffix_is_an_error_of_one_line(tmp_path, suffix, content):
    path = tmp_path / f"a\nb\x1b[2J{suffix}"
    path.write_bytes(content)
    with pytest.raises(PixelCNNError) as caught:
        data.load_all(path)
    assert caught.value.exit_code == 3
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["x" * 300 + ".npy", "a/" * 3000 + "x.npy", "nul\0.npy", ""])
def test_impossible_names_are_told_in_one_line(name):
    with pytest.raises(PixelCNNError) as caught:
        data.load_all(name or ".npy")
    assert len(str(caught.value)) < 500


def test_every_failure_of_a_reader_gets_the_files_name():
    for error, kind in (
        (RecursionError("deep\nstack"), DataError),
        (DataError("is empty", hint="fill it"), DataError),
        (ResourceError("is large"), ResourceError),
        (MemoryError(), ResourceError),
    ):
        with pytest.raises(kind, match=r"^a\.npy ") as caught, named("a.npy"):
            raise error
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["holds nothing", "hold is empty", "hold: is empty"])
def test_a_name_is_said_once_and_the_start_of_a_word_is_none(text):
    with pytest.raises(DataError) as caught, named("hold"):
        raise DataError(text)
    assert str(caught.value) == ("hold holds nothing" if text == "holds nothing" else text)


def test_memory_that_is_not_there_is_a_resource_error(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    memory.afford(1000)
    with pytest.raises(ResourceError, match="needs 1,001 bytes of memory, 1,000 are free"):
        memory.afford(1001)
    np.savez(tmp_path / "a.npz", images=np.zeros((9, 20, 20), np.uint8))
    with pytest.raises(ResourceError, match=r"a\.npz holds images, which needs 3,600 bytes"):
        data.load_all(tmp_path / "a.npz")
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.afford(2**70)


def test_available_memory_is_the_least_of_all_limits(monkeypatch, tmp_path):
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n",
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/b/memory.max": "max\n",
        "/sys/fs/cgroup/a/memory.max": "5000000\n",
        "/sys/fs/cgroup/a/memory.current": "3000000\n",
        "/sys/fs/cgroup/a/memory.stat": "anon 7\ninactive_file 500000\n",
    }
    monkeypatch.setattr(memory, "text_of", lambda path: files.get(str(path), ""))
    assert memory.available() == 2_500_000
    del files["/proc/self/cgroup"]
    assert memory.available() == 8_192_000
    files["/proc/self/cgroup"] = "4:memory:/c\n"
    files["/sys/fs/cgroup/memory/c/memory.limit_in_bytes"] = "100"
    files["/sys/fs/cgroup/memory/c/memory.usage_in_bytes"] = "200"
    assert memory.available() == 0
    files.clear()
    assert memory.available() is None
