"""IDX files, the format of MNIST: two zeros, the type of the values, the number of axes, and the axes.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", file formats.
"""

import re
import struct

import numpy as np

from pixelcnn.data.npy import FileArray, Header
from pixelcnn.data.packed import OpenFile
from pixelcnn.data.stored import check_held, sides
from pixelcnn.errors import DataError

TYPES = {8: "|u1", 9: "|i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""By the third byte of a file; numbers are big-endian."""
NAME = re.compile(r"[-.]idx\d(-?[a-z]+)?$|\.idx$")
"""How such files are called."""


def is_idx(start: bytes) -> bool:
    """Whether a file begins like this format.

    Example:
        >>> is_idx(bytes([0, 0, 8, 3])), is_idx(b"CDF1")
        (True, False)
    """
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in TYPES and start[3] > 0


def read_idx(file: OpenFile) -> FileArray:
    """The array of an IDX file that is open, at the start; see :func:`is_idx`.

    Raises:
        DataError: the reason alone: another number of values than there are bytes for.
    """
    stream = file.stream
    start = stream.read(4)
    count = start[3]
    axes = stream.read(4 * count)
    if len(axes) < 4 * count:
        raise DataError("is damaged: it ends early")
    shape = sides(struct.unpack(f">{count}I", axes))
    header = Header(shape, False, np.dtype(TYPES[start[2]]), 4 + 4 * count)
    check_held(header.nbytes, file.size - header.offset)
    return FileArray(file, header)
