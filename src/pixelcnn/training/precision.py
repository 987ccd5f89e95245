"""In which precision a training computes."""

import torch

from pixelcnn.compiling import processor

FAST_BFLOAT16 = (("amx_bf16",), ("AuthenticAMD", "avx512_bf16"))
"""Words in what a processor says of itself that together make bfloat16 faster than float32. AMD's vector
units multiply twice as many pairs of bfloat16 in a step; Intel's as many as of float32, so that the rounding
before it is lost time, unless there is a matrix unit (AMX)."""


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
    said = processor() if device == "cpu" else ""
    return "bf16" if any(all(word in said for word in words) for words in FAST_BFLOAT16) else "32"
