"""How complex an image is, whatever a model thinks of it."""

import io
import math

import numpy as np
import torch
from torch import Tensor


def png_nats(images: Tensor, levels: int) -> Tensor:
    """Size of each image as an optimised PNG in nats, float64 ``(n,)``.

    The complexity term of Serra et al., Input complexity and out-of-distribution detection, 2020.

    Args:
        images: integer levels ``(n, c, h, w)``; other than 3 channels are stacked into one grey picture.
        levels: up to 256 are stored in 8 bits, more in 16.
    """
    from PIL import Image

    sizes = []
    for image in (each.cpu().numpy() for each in images):
        channels, height, width = image.shape
        if levels > 256:
            picture = Image.fromarray(image.reshape(channels * height, width).astype(np.uint16))
        elif channels == 3:
            picture = Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8))
        else:
            sheet = image.reshape(channels * height, width).astype(np.uint8)
            picture = (
                Image.fromarray(sheet * 255).convert("1") if levels == 2 else Image.fromarray(sheet)
            )
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        sizes.append(8 * buffer.tell() * math.log(2))
    return torch.tensor(sizes, dtype=torch.float64)
