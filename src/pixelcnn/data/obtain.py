"""Finds the official files: in ``$PIXELCNN_DATA``, then in the user's cache, then by download.

Every content is checked against its published SHA-256 each time it is read (under a second for all but
CIFAR-10), so a damaged file never becomes a result.
"""

import hashlib
import io
import itertools
import logging
import os
import tarfile
import tempfile
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pixelcnn.data.official import Mirror, OfficialFile, OfficialSet
from pixelcnn.data.packed import PACKINGS, blocks
from pixelcnn.errors import DataError
from pixelcnn.folders import at_home
from pixelcnn.text import in_terminal

log = logging.getLogger("pixelcnn")

VARIABLE = "PIXELCNN_DATA"
SCHEME = "https://"
MARGIN = 2**16
"""Bytes that a packed file may have beyond its content."""


def contents(dataset: OfficialSet, part: str, root: Path | None, download: bool) -> list[bytes]:
    """The contents of the files of one part of a set.

    Args:
        dataset: which set.
        part: ``train``, ``val`` or ``test``.
        root: folder to look in first; by default ``$PIXELCNN_DATA``.
        download: fetch what is missing into the user's cache.

    Raises:
        DataError: missing and not to be had, or damaged.
    """
    files = dataset.parts[part]
    paths = [_located(dataset, file, root, download) for file in files]
    stopped = threading.Event()
    with ThreadPoolExecutor(max_workers=4) as threads:  # unpacking and hashing leave Python's lock
        try:
            return list(threads.map(partial(verified, stopped=stopped), paths, files))
        except BaseException:  # Ctrl-C waits for a block, not for whole files
            stopped.set()
            raise


def folders(dataset: OfficialSet, root: Path | None = None) -> Iterator[Path]:
    """Where a set is looked for: a folder of its name in each root, or torchvision's in the first.

    The last one lies in the user's cache, where downloads go. It is asked for last, since that
    imports the downloader.
    """
    first = root or os.environ.get(VARIABLE)
    if first:
        yield at_home(first) / dataset.name
        if dataset.torchvision:
            yield at_home(first) / dataset.torchvision
    import pooch

    yield Path(pooch.os_cache("pixelcnn")) / dataset.name


def _located(dataset: OfficialSet, file: OfficialFile, root: Path | None, download: bool) -> Path:
    """Where a file lies on this machine, after fetching it if need be."""
    for folder in folders(dataset, root):
        if (found := packed(folder, file)) is not None:
            return found
    places = list(folders(dataset, root))
    if not download:
        raise _missing(dataset, places, "is not on this machine")
    fetch(dataset, file, places)
    fetched = packed(places[-1], file)
    assert fetched is not None, "fetch leaves the file or raises"
    return fetched


def packed(folder: Path, file: OfficialFile) -> Path | None:
    """The file in a folder, plain or packed; some write ``.idx3`` where others write ``-idx3``."""
    names = dict.fromkeys((file.name, file.name.replace("-idx", ".idx")))
    paths = (folder / (name + suffix) for name in names for suffix in ("", *PACKINGS))
    return next((path for path in paths if path.is_file()), None)


def verified(path: Path, file: OfficialFile, stopped: threading.Event | None = None) -> bytes:
    """The uncompressed content of a file, if it is the official one.

    Args:
        path: where it lies.
        file: which it is.
        stopped: nobody waits for it any longer.

    Raises:
        DataError: it is not, or cannot be read.
    """
    try:
        found = blocks(path)
        if stopped is not None:
            found = itertools.takewhile(lambda _: not stopped.is_set(), found)
        content = b"".join(found)
    except DataError as error:
        raise DataError(f"{path} {error}", hint="replace or remove it") from error
    if len(content) != file.size:
        excess = "more than " if len(content) > file.size else f"{len(content)} of "
        raise DataError(
            f"{path} is damaged: it holds {excess}{file.size} bytes", hint="replace or remove it"
        )
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(
            f"{path} is damaged or not the official file: its content has another SHA-256",
            hint=f"replace or remove it; the content should have SHA-256 {file.sha256}",
        )
    return content


def fetch(dataset: OfficialSet, file: OfficialFile, places: list[Path]) -> None:
    """Downloads a file, and its archive's other files with it, into the last place.

    A download appears there whole and checked, or not at all. Mirrors are tried in turn.

    Raises:
        DataError: no mirror gave it; the message says which files to put where.
    """
    reasons = []
    for mirror in dataset.mirrors:
        url = mirror.url(file)
        try:
            places[-1].mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=places[-1], prefix=".download-") as temporary:
                wanted = mirror.archive or file
                name = "archive" if mirror.archive else wanted.name + mirror.suffix
                # The name says how it is packed; an archive is hashed whole.
                target = Path(temporary) / name
                log.info("downloading %s from %s", wanted.name, url)
                download(url, target, wanted.size + MARGIN)
                _store(dataset, file, mirror, target, places[-1])
            return
        except (OSError, EOFError, tarfile.TarError, zlib.error, DataError) as error:
            # requests, too, derives its errors from OSError
            reasons.append(f"{url}: {_brief(error)}")
            log.warning("no %s from %s", file.name, reasons[-1])
    raise _missing(dataset, places, f"could not be downloaded ({'; '.join(reasons)})")


def download(url: str, target: Path, limit: int) -> None:
    """Fetches one address into a file, with a progress bar on a terminal: all that touches the network.

    Args:
        url: must be of https, like every address that it leads to.
        target: of the file.
        limit: bytes; whoever sends more is not listened to any longer.

    Raises:
        DataError: another scheme, or too many bytes.
        OSError: the network, or the disk.
    """
    import pooch

    _safe(url)
    with target.open("wb") as stream:
        fetching = pooch.HTTPDownloader(
            progressbar=in_terminal(), timeout=30, hooks={"response": _safe_redirect}
        )
        fetching(url, _Limited(stream, limit), None)


def _safe(url: str) -> None:
    if not url.startswith(SCHEME):
        raise DataError(f"{url} is not an address of {SCHEME}")


def _safe_redirect(response: Any, **_: object) -> None:
    """Looks where an answer sends us, before anybody goes there."""
    if response.is_redirect:
        _safe(urllib.parse.urljoin(response.url, response.headers["location"]))


class _Limited(io.RawIOBase):
    """A file that takes no more than so many bytes.

    Args:
        stream: what is written to.
        limit: bytes.
    """

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        super().__init__()
        self._stream, self._left = stream, limit

    def write(self, data: Any) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise DataError("more bytes than the file has")
        return self._stream.write(data)


def _store(
    dataset: OfficialSet, file: OfficialFile, mirror: Mirror, downloaded: Path, folder: Path
) -> None:
    """Moves a downloaded file, or the files of a downloaded archive, to their place."""
    if not mirror.archive:
        verified(downloaded, file)
        downloaded.replace(folder / downloaded.name)
        return
    verified(downloaded, mirror.archive)
    with tarfile.open(downloaded) as archive:  # whose paths are never used
        members = {each.name.rpartition("/")[2]: each for each in archive if each.isfile()}
        for each in dataset.files:
            if each.name not in members:
                raise DataError(f"the archive has no {each.name}")
            member = archive.extractfile(members[each.name])
            assert member is not None, "a regular file"
            target = downloaded.parent / each.name
            target.write_bytes(member.read(each.size + 1))
            verified(target, each)
    for each in dataset.files:
        (downloaded.parent / each.name).replace(folder / each.name)


def _brief(error: Exception) -> str:
    """Why a download failed, short enough for a list of reasons."""
    kind = type(error).__name__
    known = {"ConnectionError": "no connection", "ReadTimeout": "timed out"}
    known |= {"ConnectTimeout": "timed out", "SSLError": "no safe connection"}
    return known.get(kind) or (str(error) or kind).splitlines()[0]


def _missing(dataset: OfficialSet, places: list[Path], reason: str) -> DataError:
    """What to put where."""
    names = ", ".join(file.name for file in dataset.files)
    where = [str(place) for place in places]
    if len(where) == 1:
        where.insert(0, f"{dataset.name} in a folder named by {VARIABLE}")
    return DataError(
        f"{dataset.name} {reason}",
        hint=f"put {names} (plain, .gz or .xz) into {' or '.join(where)}",
    )
