"""How the C library hands out the large tensors of a forward pass."""

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of glibc's ``mallopt``."""


def keep_memory() -> bool:
    """Lets freed tensors stay with the process, instead of mapping and clearing fresh pages every pass.

    Only glibc has this switch; elsewhere nothing happens. It lasts for the process, which then keeps the
    largest amount of memory that it ever needed. So only whoever owns the process may ask for it: the command
    line does for ``--keep-memory``.

    Returns:
        Whether it took effect.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, 2**31 - 1) and mallopt(TOP_PAD, 2**26)
    )
