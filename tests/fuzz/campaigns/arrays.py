"""Files of arrays: whole ones, damaged, and ones whose headers lie."""

import gzip
import io
import shutil
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import mutation
from fuzz.campaigns.tables import OPTIONS, PLACES, read
from fuzz.case import Campaign, Case, Fault
from pixelcnn import data
from pixelcnn.errors import PixelCNNError

TYPES = (
    "|u1", "|b1", "|i1", "<u2", ">u2", "<i4", "<i8", "<u8", "<f4", "<f8", "<f2", "<f16", "<c8", "|O",
    "|S1", "|S0",
    "<U3", "|V3", "<M8[s]", "<m8", "|u9", "u1", "", "x", "[('a','<i4')]", "<i99999999999", "|u1\x1b[2J",
)  # fmt: skip
SHAPES = (
    "(3, 8, 8)", "(3, 8, 8)", "()", "(0,)", "(0, 8, 8)", "(3, 0, 8)", "(-1, 8, 8)", "(3, 8)", "(3, 1, 8, 8)",
    "(3, 8, 8, 1)", "(1, 1, 1, 1, 192)", "(2**70,)", "(1000000000000, 8, 8)", "(18446744073709551616,)",
    f"({'9' * 5_000},)", "(3.0, 8, 8)", "'abc'", "None", "(True, 8, 8)", "(3L, 8, 8)", "(" * 300 + ")" * 300,
    f"({'1, ' * 65})", "(4294967296, 4294967296, 1)", "(9223372036854775807, 2, 1)",
)  # fmt: skip
"""Of 192 bytes of pixels."""
BOMB = 40 * 2**30
"""Bytes that one member of an archive claims, and holds when it is unpacked."""


def npy(values: np.ndarray) -> bytes:
    """An array as NumPy writes it."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=values.dtype.kind == "O")
    return buffer.getvalue()


def headed(header: str, body: bytes, version: bytes = b"\1\0", length: int | None = None) -> bytes:
    """An array with any header."""
    text = header.encode("utf-8", "surrogatepass") + b"\n"
    size = len(text) if length is None else length
    packed = (
        struct.pack("<H", size % 65_536) if version[0] == 1 else struct.pack("<I", size % 2**32)
    )
    return b"\x93NUMPY" + version + packed + text + body


def lying(case: Case) -> bytes:
    """An array whose header is its maker's own."""
    draw = case.draw
    kind = draw.choice(TYPES) if draw.random() < 0.5 else "|u1"
    shape = draw.choice(SHAPES)
    order = draw.choice(["False", "False", "True", "None", "7"])
    spelt = kind if kind.startswith("[") else repr(kind)
    header = f"{{'descr': {spelt}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if draw.random() < 0.2:
        header = draw.choice(
            [
                "",
                "{",
                "{}",
                "[" * 10_000,
                "1",
                header[:-3],
                header + header,
                "\0" * 50,
                "(" * 90 + ")" * 90,
            ]
        )
    version = draw.choice([b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\xff\xff"])
    length = draw.choice([None, None, None, 0, 1, 65_535, 2**32 - 1])
    case.tell(f"npy {header[:200]!r} version {version!r} length {length}")
    return headed(header, bytes(range(192)), version, length)


def archive(case: Case, members: dict[str, bytes]) -> bytes:
    """An archive with any members, stored in any way."""
    buffer = io.BytesIO()
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(buffer, "w", case.draw.choice(ways)) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def patched(case: Case, content: bytes) -> bytes:
    """An archive whose entries lie: encrypted, compressed in another way, of another size or place."""
    signature, start = case.draw.choice(
        [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8), (b"PK\x05\x06", 4)]
    )
    at = content.rfind(signature) if case.draw.random() < 0.5 else content.find(signature)
    offset = at + start + 2 * case.draw.randrange(14)
    change = struct.pack("<H", case.draw.choice([0, 1, 8, 9, 12, 14, 64, 93, 99, 0x800, 0xFFFF]))
    return content[:offset] + change + content[offset + 2 :] if at >= 0 else content


def members(case: Case) -> dict[str, bytes]:
    """What an archive may hold: images and what goes with them, in any shape and type."""
    draw = case.draw
    images = np.arange(192, dtype=np.uint8).reshape(3, 8, 8) % 17
    odd: tuple[Any, ...] = (
        np.arange(3), np.arange(4), np.arange(3.0), np.array(["a", "b", "c"]), np.array([None] * 3),
        np.array(17),
        np.array([17]), np.array(-1), np.array(2**63, np.uint64), np.array(0), np.zeros((3, 0)),
        np.zeros((3, 5)),
        np.full((3, 2), np.nan), np.zeros((3, 2, 8, 8), np.float32), np.array([2**63] * 3, np.uint64),
        np.array([-5, 0, 10**12]), np.zeros(3, "M8[s]"), np.zeros(3, "c8"), np.zeros((3, 2), bool),
    )  # fmt: skip
    found = {"images.npy": npy(images) if draw.random() < 0.7 else lying(case)}
    for name in ("labels", "condition", "levels"):
        if draw.random() < 0.4:
            chosen = draw.randrange(len(odd))
            case.tell(f"{name} = {odd[chosen]!r}")
            found[f"{name}.npy"] = npy(odd[chosen])
    if draw.random() < 0.2:
        found[
            draw.choice(["../x.npy", "a\x1b[2J.npy", "images", "x" * 300, "labels", "/etc/x.npy"])
        ] = npy(images)
    if draw.random() < 0.1:
        found["images.npy"] = draw.choice(
            [b"", b"PK", b"\x93NUMPY", found["images.npy"][:-5], b"\x80\x04."]
        )
    return found


def bomb() -> bytes:
    """A small archive of one huge array of zeros."""
    piece = 2**26
    header = headed(
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({BOMB // 64}, 8, 8)}}", b""
    )
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begun = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
    body = begun + zeros * (BOMB // piece) + packer.flush()
    sizes = struct.pack("<QQ", BOMB + len(header), len(body))
    extra = struct.pack("<HH", 1, len(sizes)) + sizes
    common = struct.pack("<HHHHHIIIHH", 45, 0, 8, 0, 33, 0, 2**32 - 1, 2**32 - 1, 10, len(extra))
    local = b"PK\3\4" + common + b"images.npy" + extra
    central = (
        b"PK\1\2"
        + struct.pack("<H", 45)
        + common
        + struct.pack("<HHHII", 0, 0, 0, 0, 0)
        + b"images.npy"
        + extra
    )
    at = len(local) + len(body)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), at, 0)
    return local + body + central + end


def scientific(folder: Path) -> list[Path]:
    """Files and stores of the extra ``science``, and IDX files: small ones, of every layout in use."""
    import h5py
    import zarr
    from astropy.io import fits

    images = (np.arange(12 * 64) % 17).astype(np.uint8).reshape(12, 8, 8)
    layouts: dict[str, dict[str, Any]] = {
        "plain": {},
        "gzip": {"chunks": (5, 8, 8), "compression": "gzip", "shuffle": True, "fletcher32": True},
        "lzf": {"chunks": (5, 8, 8), "compression": "lzf"},
    }
    for name, layout in layouts.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("group/images", data=images, **layout)
            file["group/labels"] = np.arange(12) % 3
    stores: dict[str, dict[str, Any]] = {
        "two": {"zarr_format": 2, "chunks": (5, 8, 8)},
        "three": {"chunks": (5, 8, 8), "compressors": zarr.codecs.BloscCodec()},
        "shards": {"chunks": (2, 8, 8), "shards": (4, 8, 8)},
    }
    for name, options in stores.items():
        array = zarr.create_array(
            folder / f"{name}.zarr", shape=images.shape, dtype="u1", **options
        )
        array[:] = images
    fits.PrimaryHDU(images.astype("u2")).writeto(folder / "plain.fits")
    tiles = fits.CompImageHDU(images.astype("i2"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(folder / "tiles.fits")
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape) + images.tobytes()
    (folder / "a-images-idx3-ubyte").write_bytes(content)
    (folder / "b-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    return sorted(folder.iterdir())


class Arrays(Campaign):
    """Arrays and archives through ``load_all`` and ``data check``."""

    name = "arrays"
    about = "files of arrays: NumPy, HDF5, Zarr, FITS, IDX (load_all, data check)"
    full = 2_500
    few = 8

    def prepare(self, folder: Path) -> None:
        warnings.filterwarnings("ignore", module=r"astropy\.")  # as the command line does
        images = (np.arange(192) % 17).reshape(3, 8, 8)
        kinds = ("u1", "i4", "<u2", ">i8", "b1")
        self.whole = [npy(images.astype(kind)) for kind in kinds] + [npy(np.asfortranarray(images))]
        (place := folder / "science").mkdir()
        self.scientific = scientific(place)
        self.bomb = folder / "bomb.npz"
        self.bomb.write_bytes(bomb())

    def run(self, case: Case) -> None:
        kind = case.draw.randrange(18)
        options = {key: case.draw.choice(choices) for key, choices in OPTIONS.items()}
        if case.draw.random() < 0.6:
            options = {}
        if kind >= 12:
            read(case, self.damaged(case), options)
            return
        path = case.folder / case.draw.choice(["x.npy", "x.npz"])
        if kind == 0:
            if case.draw.randrange(3) == 0:
                self.explode(case)
                return
            case.draw.choice(PLACES)(path)
        else:
            path.write_bytes(self.content(case, kind))
        read(case, path, options)

    def damaged(self, case: Case) -> Path:
        """A copy of a scientific file, or of a store, in which some bytes are others."""
        whole = case.draw.choice(self.scientific)
        path = case.folder / whole.name
        if whole.is_dir():
            shutil.copytree(whole, path)
            part = case.draw.choice(sorted(each for each in path.rglob("*") if each.is_file()))
        else:
            part = Path(shutil.copy(whole, path))
        case.tell(f"damaged: {part.relative_to(case.folder)}")
        part.write_bytes(mutation.mutated(case.draw, part.read_bytes()))
        return path

    def explode(self, case: Case) -> None:
        """What is larger than any memory is refused for what it says, not once memory has run out."""
        try:
            data.load_all(self.bomb)
        except PixelCNNError as error:
            case.tell(str(error))
            case.code = error.exit_code
            if isinstance(error.__context__, MemoryError):
                raise Fault("memory", f"{BOMB >> 30} GiB were asked for") from error
        else:
            raise Fault("memory", f"{BOMB >> 30} GiB were read")

    def content(self, case: Case, kind: int) -> bytes:
        """What the file holds."""
        if kind < 4:
            return mutation.mutated(case.draw, case.draw.choice(self.whole))
        if kind < 7:
            return lying(case)
        content = archive(case, members(case))
        if kind < 9:
            return mutation.mutated(case.draw, content)
        return patched(case, content) if kind < 11 else content
