"""Where a training computes, and in which precision."""

from pathlib import Path

import torch

from pixelcnn.errors import ConfigError
from pixelcnn.training.team import Team

FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Processor flags that make bfloat16 faster than float32."""


def resolve_device(device: str) -> str:
    """``auto`` as the best device there is.

    Raises:
        ConfigError: a device that this machine does not have.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if has_cuda else "mps" if has_mps else "cpu"
    if (device.startswith("cuda") and not has_cuda) or (device == "mps" and not has_mps):
        raise ConfigError(f"device {device!r} is not available here", hint="use --device auto")
    return device


def own_device(device: str, team: Team) -> str:
    """The device of one process of a team: its own GPU, or a share of the processor.

    Raises:
        ConfigError: a device that cannot be shared out.

    Example:
        >>> own_device("cpu", Team(rank=1, size=2, local_rank=1, local_size=2))
        'cpu'
    """
    if team.size == 1 or device == "cpu":
        return device
    if device != "cuda":
        raise ConfigError(
            f"device {device!r} serves one process, not {team.local_size}",
            hint="use --device cuda or --device cpu",
        )
    return f"cuda:{team.local_rank}"


def accelerator(device: str, team: Team | None = None) -> tuple[str, int | list[int]]:
    """Lightning's accelerator and devices for a process's own device.

    Raises:
        ConfigError: a CUDA device that this machine does not have.
    """
    team = team or Team()
    name, _, index = device.partition(":")
    if name != "cuda":
        return name, team.local_size
    if int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {device!r} is not available here: there are {torch.cuda.device_count()}",
            hint="count from cuda:0",
        )
    return "gpu", [int(index or 0)] if team.size == 1 else list(range(team.local_size))


def resolve_precision(precision: str, device: str) -> str:
    """``auto`` as ``bf16`` where that is faster, else ``32``."""
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if device == "cpu" and any(flag in processor_flags() for flag in FAST_BFLOAT16):
        return "bf16"
    return "32"


def processor_flags() -> str:
    """What the processor says it can do; empty where the system does not tell."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
