"""FITS files, plain or packed tile by tile: images by the name or number of their unit, read by rows."""

import math
import threading
from typing import Any

import numpy as np

from pixelcnn.data.packed import OpenFile
from pixelcnn.data.stored import (
    MAX_ARRAYS,
    Container,
    StoredArray,
    check_growth,
    check_held,
    check_kind,
    needed,
)
from pixelcnn.errors import DataError

MAGIC = b"SIMPLE  ="
"""The first bytes of a FITS file."""
IMAGES = ("PrimaryHDU", "ImageHDU", "CompImageHDU")


class Fits(Container):
    """The images of a FITS file: units (HDU) with an array, by name (``EXTNAME``) or number.

    Args:
        file: that is open.

    Raises:
        DataError: the reason alone: damaged.
        ConfigError: astropy is not installed.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file, self.lock = file, threading.Lock()
        fits = needed("astropy.io.fits", "a FITS file")
        self._units = fits.open(file.stream, mode="readonly", memmap=False, lazy_load_hdus=True)
        self._found: dict[str, Any] = {}
        self.aliases: dict[str, str] = {}
        for number, unit in enumerate(self._units):
            if number >= MAX_ARRAYS:
                raise DataError(f"holds more than {MAX_ARRAYS:,} units")
            if type(unit).__name__ in IMAGES and unit.shape:
                name = str(unit.name).strip().lower() or str(number)
                name = str(number) if name in self._found else name
                self._found[name] = unit
                self.aliases[str(number)] = name
        self.names = tuple(self._found)

    def shape(self, name: str) -> tuple[int, ...]:
        shape = tuple(map(int, self._found[name].shape))
        return (1, *shape) if len(shape) == 2 else shape

    def __getitem__(self, name: str) -> "FitsArray":
        return FitsArray(self._found[name], self.shape(name), self._file.size, self)


class FitsArray(StoredArray):
    """The image of a unit, in physical values: ``BSCALE * stored + BZERO``, so unsigned where it should be.

    Args:
        unit: as astropy has it.
        shape: of the array; of a single image with an axis before it.
        held: bytes of the file.
        owner: whose stream is read, by one thread at a time.

    Raises:
        DataError: the reason alone: no numbers, or fewer than it declares.
    """

    def __init__(self, unit: Any, shape: tuple[int, ...], held: int, owner: Fits) -> None:
        self._unit, self._owner, self.shape = unit, owner, shape
        self._alone = len(unit.shape) == 2
        self.dtype = _dtype_of(unit.header)
        check_kind(self.dtype, self.shape)
        if type(unit).__name__ == "CompImageHDU":
            self._check_tiles(held)
            return
        start = int(unit.fileinfo()["datLoc"])
        stored = math.prod(self.shape) * abs(int(unit.header["BITPIX"])) // 8
        check_held(stored, min(stored, max(held - start, 0)))

    def _check_tiles(self, held: int) -> None:
        tile = tuple(map(int, self._unit.tile_shape))
        check_growth(held, self.nbytes)
        check_growth(held, math.prod(tile) * self.dtype.itemsize)
        self.block = 1 if self._alone else max(1, tile[0])

    def rows(self, start: int, stop: int) -> np.ndarray:
        with self._owner.lock:
            if self._alone:
                found = self._unit.section[:][None][start:stop]
            else:
                found = self._unit.section[start:stop]
        result = np.asarray(found)
        if result.shape != (stop - start, *self.shape[1:]):
            raise DataError("an array has become shorter since it was opened")
        if self.dtype.kind in "iu" and not np.isfinite(result).all():
            raise DataError(
                "has pixels without a value (BLANK), which are no levels",
                hint="leave these images out, or write values into these pixels",
            )
        return result.astype(self.dtype, copy=False)


def _dtype_of(header: Any) -> np.dtype:
    """The type of the values that are meant: unsigned integers are stored as signed ones with an offset."""
    bits, scale, zero = (header.get(key, default) for key, default in
                         (("BITPIX", 0), ("BSCALE", 1), ("BZERO", 0)))  # fmt: skip
    if bits in (-32, -64):
        return np.dtype(f"f{-bits // 8}")
    if bits not in (8, 16, 32, 64):
        raise DataError(f"has no known type of values: BITPIX = {bits!r}")
    if scale == 1 and zero == 0:
        return np.dtype("u1" if bits == 8 else f"i{bits // 8}")
    if scale == 1 and bits > 8 and zero == 2 ** (bits - 1):
        return np.dtype(f"u{bits // 8}")
    if scale == 1 and bits == 8 and zero == -128:
        return np.dtype("i1")
    return np.dtype("f4" if bits <= 16 else "f8")
