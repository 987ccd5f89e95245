"""How much memory there is, and how the C library hands out the large tensors of a forward pass."""

import contextlib
import ctypes
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from pixelcnn.errors import ResourceError

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of glibc's ``mallopt``."""
DRIVERS = ("/proc/driver/nvidia", "/dev/kfd", "/dev/dxg")
"""What is there where a GPU is."""
NO_MEMORY = re.compile(
    "out of memory|can't allocate memory|not enough memory|alloc.failed|bad_alloc"
    "|could not create a (memory|primitive$)|failed to map segment",
    re.IGNORECASE,
)
"""What PyTorch, the libraries below it and their loader say when memory runs out."""
MEMORY = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Where a control group of either version says how much it may have, has, and can give up."""
PACKED = "images in an .npy file, or packed by `pixelcnn data prepare`, are read a batch at a time"
"""What to do where the images of a source do not fit."""


def keep_memory() -> bool:
    """Lets freed tensors stay with the process, instead of mapping and clearing fresh pages every pass.

    Only glibc has this switch; elsewhere nothing happens. It lasts for the process, which then keeps the
    largest amount of memory that it ever needed. So only whoever owns the process may ask for it, as the
    command line does.

    Returns:
        Whether it took effect.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, 2**31 - 1) and mallopt(TOP_PAD, 2**26)
    )


def afford(size: int, who: str = "needs", hint: str = PACKED) -> None:
    """Says in time that something does not fit into memory; Linux would only kill the process later.

    Args:
        size: bytes that are about to be taken.
        who: takes them, with the verb; without a subject where a reader is to put a name before it.
        hint: what needs less.

    Raises:
        ResourceError: there is not so much memory.
    """
    free = available()
    if free is not None and size > free:
        raise ResourceError(f"{who} {size:,} bytes of memory, {free:,} are free", hint=hint)


def bound() -> int | None:
    """Has the system refuse what goes beyond the memory at hand, so that it can be said in words.

    Linux grants more than there is, and kills the process (or another one) when it is used. Only whoever owns
    the process may ask for this: the command line does, where no driver of NVIDIA or AMD maps memory in ways
    of its own.

    Returns:
        Bytes of data that the process may have from now on; None where nothing was bound.
    """
    free, status = available(), text_of(Path("/proc/self/status"))
    taken = re.search(r"VmData:\s+(\d+) kB", status)
    swap = re.search(r"SwapFree:\s+(\d+) kB", text_of(Path("/proc/meminfo")))
    if free is None or not taken or any(map(os.path.exists, DRIVERS)):
        return None
    import resource

    lower, most = resource.getrlimit(resource.RLIMIT_DATA)
    size = 1024 * (int(taken[1]) + (int(swap[1]) if swap else 0)) + free
    if lower != resource.RLIM_INFINITY:
        size = min(size, lower)
    resource.setrlimit(resource.RLIMIT_DATA, (size, most))
    return size


def ran_out(error: BaseException) -> bool:
    """Whether something failed for want of memory, which PyTorch says in words.

    Example:
        >>> ran_out(MemoryError()), ran_out(RuntimeError("CUDA out of memory.")), ran_out(ValueError("-1"))
        (True, True, False)
        >>> ran_out(RuntimeError("could not create a primitive"))  # as oneDNN says it
        True
        >>> ran_out(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
        True
    """
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


def available() -> int | None:
    """Bytes that this process can still take without swapping; None where the system does not say.

    On Linux the least of what the machine, the control groups of the process and its limit of addresses
    leave. Pages of files that the system can give up count as free.
    """
    return min(_left(), default=None)


def _left() -> Iterator[int]:
    """What each of the limits leaves."""
    if free := re.search(r"MemAvailable:\s+(\d+) kB", text_of(Path("/proc/meminfo"))):
        yield int(free[1]) * 1024
    for folder, version in control_groups("memory"):
        ceiling, usage, idle = MEMORY[version]
        most, used = text_of(folder / ceiling).strip(), text_of(folder / usage).strip()
        if most.isdecimal() and used.isdecimal():
            files = re.search(rf"^{idle} (\d+)", text_of(folder / "memory.stat"), re.MULTILINE)
            yield max(int(most) - int(used) + (int(files[1]) if files else 0), 0)
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            taken = int(text_of(Path("/proc/self/statm")).split()[0]) * os.sysconf("SC_PAGE_SIZE")
            yield max(limit - taken, 0)


def control_groups(controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of the control groups of this process, from the innermost one, and their version."""
    for line in text_of(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup", controllers)
        place = root / group.lstrip("/")
        for folder in (place, *place.parents):
            if not folder.is_relative_to(root):
                break
            yield folder, 1 if controllers else 2


def text_of(path: Path) -> str:
    """What a file of the system says; nothing where it is not."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
