"""The native engine's build: once, private, and never in the way."""

import os
import stat
import subprocess
import sys

import pytest

from pixelcnn import compiling
from pixelcnn.compiling import NotBuilt
from pixelcnn.engines.native import build
from pixelcnn.engines.native.build import library

pytestmark = pytest.mark.skipif(bool(build.why_not()), reason="no native engine here")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    library.cache_clear()


def fake_compiler(tmp_path, script):
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_no_compiler_is_a_reason_and_no_error(monkeypatch):
    library.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no C++ compiler (no-such-compiler)" in build.why_not()


def test_a_compiler_that_fails_is_a_reason(tmp_path, monkeypatch):
    library.cache_clear()
    monkeypatch.setenv(
        "CXX", fake_compiler(tmp_path, 'test "$1" = --version || { echo broken >&2; exit 1; }')
    )
    assert "broken" in build.why_not()
    assert not list((tmp_path / "pixelcnn" / "native").iterdir())


def test_a_compiler_that_fails_runs_once(tmp_path, monkeypatch):
    count, compiler = tmp_path / "count", tmp_path / "c++"
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\necho >> {count}\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(3):
        with pytest.raises(compiling.NotBuilt, match="failed"):
            compiling.load("engine", {"engine.cpp": b"int x;"})
    assert count.read_text() == "\n"


def test_a_file_that_is_no_library_is_a_reason(tmp_path, monkeypatch):
    library.cache_clear()
    script = 'test "$1" = --version && exit; for last; do :; done; echo junk > "$last"'
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, script))
    assert "cannot be loaded" in build.why_not()


def test_the_cache_folder_is_private(tmp_path):
    folder = compiling.cache_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    assert stat.S_IMODE(compiling.cache_folder().stat().st_mode) == 0o700


def test_the_cache_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    compiling.cache_folder()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(NotBuilt, match="another user"):
        compiling.cache_folder()


def test_a_change_of_the_source_builds_anew():
    compiler = compiling.find_compiler()
    sources = compiling.sources_of("pixelcnn.engines.native", "engine.cpp")
    for name in sources:
        changed = sources | {name: sources[name] + b"\n"}
        assert compiling.key(changed, compiler) != compiling.key(sources, compiler)
    moved = dict(zip(sources, reversed(sources.values()), strict=True))
    assert compiling.key(moved, compiler) != compiling.key(sources, compiler)


@pytest.mark.slow
def test_two_processes_may_build_at_once(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from pixelcnn.engines.native import why_not; assert not why_not()",
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    running = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert len(list((tmp_path / "pixelcnn" / "native").iterdir())) == 1
