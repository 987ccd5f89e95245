"""In which precision a training computes."""

from pathlib import Path

import torch

FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Processor flags that make bfloat16 faster than float32."""


def resolve_precision(precision: str, device: str) -> str:
    """``auto`` as ``bf16`` where that is faster, else ``32``.

    Example:
        >>> resolve_precision("64", "cpu")
        '64'
    """
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
