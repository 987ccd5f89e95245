"""Which reader takes a file, by its name alone: what lies in it decides the rest."""

from collections.abc import Callable
from pathlib import Path

from pixelcnn.data import zarr_store
from pixelcnn.data.arrays import part_keys, read_array
from pixelcnn.data.idx import NAME
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.packed import plain_name
from pixelcnn.data.reading import Reading
from pixelcnn.data.table import read_table

Reader = Callable[[Path, Reading], ImageSet]

ARRAYS = (
    ".npy",
    ".npz",
    ".h5",
    ".hdf5",
    ".hdf",
    ".he5",
    ".nc",
    ".fits",
    ".fit",
    ".fts",
    ".fz",
    ".idx",
)
TABLES = (".csv", ".tsv", ".txt", ".dat")
KINDS = (
    "a folder of images, image files, .npy, .npz, .h5, .zarr, .fits, IDX files (…-idx3-ubyte), .csv or .tsv,"
    " each packed by .gz or .xz or not"
)


def is_array(path: Path) -> bool:
    """Whether a path is a file of arrays, or a Zarr store.

    Example:
        >>> is_array(Path("train-images-idx3-ubyte.gz")), is_array(Path("a.H5")), is_array(Path("a.csv"))
        (True, True, False)
    """
    if path.is_dir():
        return zarr_store.is_store(path)
    name = plain_name(path)
    return name.endswith(ARRAYS) or NAME.search(name) is not None


def is_table(path: Path) -> bool:
    """Whether a path is a table."""
    return not path.is_dir() and plain_name(path).endswith(TABLES)


def reader_of(path: Path) -> Reader | None:
    """What reads a file of arrays, a store or a table; nothing for all other paths."""
    if is_array(path):
        return read_array
    return read_table if is_table(path) else None


def parts_in(path: Path) -> dict[str, str]:
    """The keys of arrays that are parts of one set, such as ``x_train`` and ``x_test``."""
    return part_keys(path) if is_array(path) else {}
