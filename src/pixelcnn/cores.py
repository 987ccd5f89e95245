"""How many processor cores this process may use."""

import math
import os
import sys
from pathlib import Path

from pixelcnn.memory import control_groups, text_of

QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"
"""Files of a control group of version 1: how long its processes may compute, in how long a time."""


def cores() -> int:
    """Processor cores that this process may use, by its affinity and the quotas of its control groups.

    A container that is given the time of two cores sees all that the machine has, and so does PyTorch, whose
    threads would use up the quota while they wait for each other.

    Example:
        >>> 1 <= cores() <= (os.cpu_count() or 1)
        True
    """
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quotas = (_quota(folder, version) for folder, version in control_groups("cpu"))
    return max(1, min([count, *(math.ceil(quota) for quota in quotas if quota is not None)]))


def _quota(folder: Path, version: int) -> float | None:
    """Cores that a control group may use; None where there is no limit."""
    if version == 2:
        words = text_of(folder / "cpu.max").split()
    else:
        words = [text_of(folder / name).strip() for name in (QUOTA, PERIOD)]
    numbers = [int(word) for word in words if word.isdecimal()]
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else None
