"""Dynamic binarisation: every epoch tosses a coin for each pixel, whose bias is the grey value.

The coins of an image are a pure function of (seed, epoch, place of the image in its set), see
:mod:`pixelcnn.streams`; its d-th word belongs to sub-pixel d in the memory order c, h, w. So batches may be
of any size and order, on any number of processes and any device, and training resumes where it stopped.
"""

import functools
import hashlib
import math

import numpy as np
import torch
from torch import Tensor

from pixelcnn import streams
from pixelcnn.data.content import as_bytes

CHUNK = 512
"""Images whose coins lie in memory at a time."""
BITS = 53
"""Of a uniform number: the upper ones of its word."""


def coin_flips(images: Tensor, levels: int, seed: int, epoch: int | None, index: Tensor) -> Tensor:
    """Binary images ``(k, c, h, w)``: a pixel is 1 with probability ``grey value / (levels - 1)``.

    Args:
        images: grey values ``(k, c, h, w)`` in ``[0, levels)``, on any device.
        levels: of the grey values; black stays 0, full brightness becomes 1.
        seed: not negative.
        epoch: of training, not negative; None for the one draw of evaluation.
        index: place of each image in its set, or in evaluation of its content, int64 ``(k,)``.

    Returns:
        uint8 on the images' device, bit for bit the same on every device.

    Reference: Burda et al., Importance Weighted Autoencoders, 2016, section 5.

    Example:
        >>> coin_flips(torch.tensor([[[[0, 255]]]]), 256, 0, 0, torch.tensor([7])).tolist()
        [[[[0, 1]]]]
    """
    count, bounds = math.prod(images.shape[1:]), thresholds(levels, images.device)
    bits = torch.empty((len(images), count), dtype=torch.uint8, device=images.device)
    grey = images.reshape(bits.shape)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        words = streams.coin_words(seed, epoch, index[part], count, images.device)
        uniforms = words >> (64 - BITS) & (2**BITS - 1)
        bits[part] = uniforms < bounds.index_select(0, grey[part].flatten().int()).view_as(uniforms)
    return bits.reshape(images.shape)


def content_places(images: Tensor) -> Tensor:
    """A place for each image that follows from its values: 63 bits of their SHA-256, int64 ``(k,)``.

    So the coins of evaluation depend on no other image, nor on the file that it lies in.
    """
    digests = (hashlib.sha256(as_bytes(image)).digest() for image in images)
    keys = [int.from_bytes(each[:8], "big") >> 1 for each in digests]
    return torch.tensor(keys, dtype=torch.int64)


@functools.lru_cache(maxsize=16)
def thresholds(levels: int, device: torch.device) -> Tensor:
    """How many of the 2**53 uniform numbers make each grey value a 1: int64 ``(levels,)``.

    Integers, so that devices without double precision toss the same coins.

    Example:
        >>> (thresholds(3, torch.device("cpu")) / 2**53).tolist()
        [0.0, 0.5, 1.0]
    """
    chances = np.arange(levels) / (levels - 1)
    return torch.from_numpy(np.ceil(chances * 2.0**BITS).astype(np.int64)).to(device)
