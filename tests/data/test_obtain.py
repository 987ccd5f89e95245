"""Finding, checking and fetching official files."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import io
import lzma
import shutil
import tarfile
import threading
import time
from functools import partial

import pytest

from pixelcnn.data import obtain
from pixelcnn.data.obtain import contents
from pixelcnn.data.official import OFFICIAL, Mirror, OfficialFile, OfficialSet, read_idx
from pixelcnn.errors import DataError

CONTENT = {"one.bin": b"the first file" * 50, "two.bin": b"another file" * 70}
FILES = tuple(
    OfficialFile(name, len(text), hashlib.sha256(text).hexdigest())
    for name, text in CONTENT.items()
)
PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def official(*mirrors):
    return OfficialSet(
        "tiny-set", read_idx, {"train": FILES}, mirrors or (Mirror("https://a/", ".gz"),)
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    monkeypatch.delenv("PIXELCNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(obtain, "download", no_network)
    return tmp_path / "cache" / "pixelcnn" / "tiny-set"


def no_network(url, target, limit):
    raise ConnectionError(f"no route to {url}")


def put(folder, suffix="", change=lambda text: text):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in CONTENT.items():
        (folder / (name + suffix)).write_bytes(change(PACKERS[suffix](text)))


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("where", ["root", "variable", "home", "cache"])
def test_files_are_found_however_packed_in_every_place(tmp_path, monkeypatch, cache, suffix, where):
    put(cache if where == "cache" else tmp_path / "tiny-set", suffix)
    if where == "variable":
        monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path))
    elif where == "home":
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("PIXELCNN_DATA", "~")
    root = tmp_path if where == "root" else None
    assert contents(official(), "train", root, download=False) == list(CONTENT.values())


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["a-idx1-ubyte", "a.idx1-ubyte"])
def test_files_are_found_as_torchvision_and_others_call_them(tmp_path, suffix, name):
    file = dataclasses.replace(FILES[0], name="a-idx1-ubyte")
    theirs = dataclasses.replace(official(), parts={"train": (file,)}, torchvision="TinySet/raw")
    content, folder = CONTENT[FILES[0].name], tmp_path / "TinySet" / "raw"
    folder.mkdir(parents=True)
    (folder / (name + suffix)).write_bytes(PACKERS[suffix](content))
    assert contents(theirs, "train", tmp_path, download=False) == [content]


def test_whoever_stops_waits_for_no_whole_file(tmp_path, monkeypatch):
    put(tmp_path / "tiny-set", "", bytes)
    waiting, whole = threading.Event(), []

    def long(path):
        if path.name == "one.bin":
            waiting.wait(10)
            raise KeyboardInterrupt
        for _ in range(1000):
            waiting.set()
            time.sleep(0.01)
            yield b""
        whole.append(path)

    monkeypatch.setattr(obtain, "blocks", long)
    with pytest.raises(KeyboardInterrupt):
        contents(official(), "train", tmp_path, download=False)
    assert not whole


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        ("", lambda text: text[:-1], "damaged: it holds [0-9]+ of"),
        ("", lambda text: text + b"x", "more than"),
        ("", lambda text: b"X" + text[1:], "another SHA-256"),
        (".gz", lambda text: text[:-12], "cannot be read"),
        (".gz", lambda text: b"X" + text[1:], "cannot be read"),
        (
            ".gz",
            lambda text: text[:20] + bytes([text[20] ^ 255]) + text[21:],
            "cannot be read|damaged",
        ),
        (".xz", lambda text: text[:-12], "ended before the end"),
        (".xz", lambda text: b"", "cannot be read|damaged"),
    ],
)
def test_a_damaged_file_is_named_and_never_used(tmp_path, suffix, change, message):
    put(tmp_path / "tiny-set", suffix, change)
    with pytest.raises(DataError, match=message) as caught:
        contents(official(), "train", tmp_path, download=True)
    assert "one.bin" in str(caught.value)
    assert "replace or remove it" in caught.value.hint


def test_offline_the_error_says_which_files_to_put_where(tmp_path, cache):
    for download, reason in ((False, "is not on this machine"), (True, "could not be downloaded")):
        with pytest.raises(DataError, match=f"tiny-set {reason}") as caught:
            contents(official(), "train", tmp_path, download)
        hint = caught.value.hint
        assert "one.bin, two.bin (plain, .gz or .xz)" in hint
        assert str(tmp_path / "tiny-set") in hint
        assert str(cache) in hint


def test_without_a_root_the_hint_names_the_variable():
    with pytest.raises(DataError) as caught:
        contents(official(), "train", None, download=False)
    assert "PIXELCNN_DATA" in caught.value.hint


def test_mirrors_are_tried_in_turn_until_one_has_the_right_content(monkeypatch, cache):
    tried = []

    def download(url, target, limit):
        tried.append(url)
        if url.startswith("https://gone/"):
            raise OSError("404 Not Found")
        text = CONTENT[url.rsplit("/", 1)[-1].removesuffix(".gz")]
        target.write_bytes(
            gzip.compress(text if url.startswith("https://good/") else b"a login page")
        )

    monkeypatch.setattr(obtain, "download", download)
    mirrors = [Mirror(f"https://{name}/", ".gz") for name in ("gone", "wrong", "good")]
    assert contents(official(*mirrors), "train", None, download=True) == list(CONTENT.values())
    assert tried == [
        f"https://{m}/{name}.gz" for name in CONTENT for m in ("gone", "wrong", "good")
    ]
    assert sorted(path.name for path in cache.iterdir()) == ["one.bin.gz", "two.bin.gz"]
    monkeypatch.setattr(obtain, "download", no_network)
    assert contents(official(), "train", None, download=True) == list(CONTENT.values())


def test_every_mirrors_reason_is_given(monkeypatch):
    with pytest.raises(
        DataError, match=r"https://a/one\.bin: no connection; https://b/one\.bin: no conn"
    ):
        contents(official(Mirror("https://a/"), Mirror("https://b/")), "train", None, download=True)


def archive(names=CONTENT):
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name in names:
            text = CONTENT.get(name.rsplit("/", 1)[-1], b"")
            info = tarfile.TarInfo(f"../../evil/{name}")
            info.mtime = 0
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def packed_as(content):
    """A mirror with an archive of this content."""
    file = OfficialFile("all.tar.gz", len(content), hashlib.sha256(content).hexdigest())
    return Mirror("https://a/all.tar.gz", archive=file)


def test_an_archive_gives_all_its_files_at_once_and_its_paths_are_ignored(
    monkeypatch, cache, tmp_path
):
    tried = []

    def download(url, target, limit):
        tried.append(url)
        target.write_bytes(archive([*CONTENT, "batches.meta.txt"]))

    monkeypatch.setattr(obtain, "download", download)
    dataset = official(packed_as(archive([*CONTENT, "batches.meta.txt"])))
    assert contents(dataset, "train", None, download=True) == list(CONTENT.values())
    assert tried == ["https://a/all.tar.gz"]
    assert sorted(path.name for path in cache.iterdir()) == ["one.bin", "two.bin"]
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "content",
    [b"", b"not an archive", archive(["one.bin"]), archive()[:100]],
    ids=["empty", "text", "incomplete", "cut"],
)
def test_a_broken_archive_leaves_nothing_behind(monkeypatch, cache, content):
    monkeypatch.setattr(obtain, "download", lambda url, target, limit: target.write_bytes(content))
    dataset = official(packed_as(content))
    with pytest.raises(DataError, match="could not be downloaded"):
        contents(dataset, "train", None, download=True)
    assert list(cache.iterdir()) == []


def test_an_archive_is_not_opened_before_its_own_hash_agrees(monkeypatch, cache):
    content = archive()
    monkeypatch.setattr(obtain.tarfile, "open", lambda *_: pytest.fail("it was opened"))
    monkeypatch.setattr(obtain, "download", lambda url, target, limit: target.write_bytes(content))
    with pytest.raises(DataError, match="another SHA-256"):
        contents(official(packed_as(b"x" * len(content))), "train", None, download=True)
    assert list(cache.iterdir()) == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and sends whoever asks for ``away`` to an address of another scheme."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/away":
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("Location", "ftp://127.0.0.1/one.bin")
        self.end_headers()


@contextlib.contextmanager
def serving(folder):
    """The address of a server on this machine."""
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_only_https_is_spoken_after_redirects_too_and_only_so_many_bytes_are_taken(
    tmp_path, monkeypatch
):
    monkeypatch.undo()
    target = tmp_path / "got"
    with pytest.raises(DataError, match="is not an address of https"):
        obtain.download("http://127.0.0.1:9/x", target, 100)
    put(tmp_path / "served")
    monkeypatch.setattr(obtain, "SCHEME", "http://")
    with serving(tmp_path / "served") as address:
        with pytest.raises(DataError, match=r"ftp://.* is not an address of http"):
            obtain.download(f"{address}/away", target, 100)
        with pytest.raises(DataError, match="more bytes"):
            obtain.download(f"{address}/one.bin", target, len(CONTENT["one.bin"]) - 1)
        obtain.download(f"{address}/one.bin", target, len(CONTENT["one.bin"]))
    assert target.read_bytes() == CONTENT["one.bin"]


def test_the_real_downloader_fetches_over_http(tmp_path, cache, monkeypatch):
    monkeypatch.undo()
    monkeypatch.delenv("PIXELCNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    put(tmp_path / "served", ".gz")

    monkeypatch.setattr(obtain, "SCHEME", "http://")
    with serving(tmp_path / "served") as address:
        dataset = official(Mirror(f"{address}/none/", ".gz"), Mirror(f"{address}/", ".gz"))
        assert contents(dataset, "train", None, download=True) == list(CONTENT.values())
    shutil.rmtree(tmp_path / "served")
    assert contents(dataset, "train", None, download=False) == list(CONTENT.values())


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_set_has_mirrors_and_checksums_of_contents(name):
    dataset = OFFICIAL[name]
    assert dataset.mirrors
    assert {"train", "test"} <= set(dataset.parts)
    assert all(len(file.sha256) == 64 and file.size > 0 for file in dataset.files)
    assert all(mirror.url(dataset.files[0]).startswith("https://") for mirror in dataset.mirrors)
