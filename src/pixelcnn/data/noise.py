"""Dynamic binarisation: every epoch tosses a coin for each pixel, whose bias is the grey value.

The coins are counter-based: those of an image are a pure function of (seed, epoch, place of the image
in its set). So batches may be of any size and order, on any number of processes, and training resumes
where it stopped. Philox is keyed by (seed, epoch), the highest word of its counter is the image, and
its d-th 64-bit word belongs to sub-pixel d in the memory order c, h, w. Only raw words are used, whose
stream NumPy guarantees.
"""

import numpy as np
import torch
from torch import Tensor

CHUNK = 512
"""Images whose coins lie in memory at a time."""
FROZEN = 2**64 - 1
"""The epoch of evaluation, which no training reaches."""


def uniforms(seed: int, epoch: int, index: np.ndarray, count: int) -> np.ndarray:
    """``count`` uniforms in [0, 1) for each image of ``index``: float64 ``(len(index), count)``."""
    words = np.empty((len(index), count), dtype=np.uint64)
    key = np.array([seed, epoch], dtype=np.uint64)
    for row, image in enumerate(index.tolist()):
        counter = np.array([0, 0, 0, image], dtype=np.uint64)
        words[row] = np.random.Philox(key=key, counter=counter).random_raw(count)
    return (words >> np.uint64(11)) * 2.0**-53


def coin_flips(images: Tensor, levels: int, seed: int, epoch: int, index: np.ndarray) -> Tensor:
    """Binary images ``(k, c, h, w)``: a pixel is 1 with probability ``grey value / (levels - 1)``.

    Args:
        images: grey values ``(k, c, h, w)`` in ``[0, levels)``.
        levels: of the grey values; black stays 0, full brightness becomes 1.
        seed: not negative.
        epoch: not negative.
        index: place of each image in its set, ``(k,)``.

    Reference: Burda et al., Importance Weighted Autoencoders, 2016, section 5.

    Example:
        >>> coin_flips(torch.tensor([[[[0, 255]]]]), 256, 0, 0, np.array([7])).tolist()
        [[[[0, 1]]]]
    """
    count = int(np.prod(images.shape[1:]))
    bits = np.empty((len(images), count), dtype=np.uint8)
    grey = images.reshape(len(images), count).numpy()
    for start in range(0, len(images), CHUNK):
        chosen = slice(start, start + CHUNK)
        bits[chosen] = uniforms(seed, epoch, index[chosen], count) < grey[chosen] / (levels - 1)
    return torch.from_numpy(bits).reshape(images.shape)
