"""Compression costs what a model's likelihood says, and gives back what it was given."""

import math
from typing import Any

import torch

from pixelcnn.codec.calibration import calibrate, excess
from pixelcnn.codec.coding import decode, encode
from pixelcnn.codec.integers import RANGES, integers
from pixelcnn.errors import ConformanceError
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.sampling import sample

IMAGES = 2
ALLOWED, SLACK = 0.002, 64
"""More bits than its likelihood says: a share of them, and for all images that are tried."""


def check_compression(model: PixelModel, condition: Any) -> str:
    """Compares bits with the likelihood for images that a model draws, and what comes back with what went in.

    Args:
        model: on the CPU; gets the ranges of the images themselves where it has none.
        condition: of one image, see :meth:`PixelModel.check_condition`.

    Raises:
        ConformanceError: too many bits, or other images.
        ModelError: the model has no integer form.
    """
    images = sample(model, IMAGES, seed=0, condition=condition).long()
    calibrated = RANGES in model.record
    if not calibrated:
        calibrate(model, images, condition)
    given = model.check_condition(condition, IMAGES)
    twin, _ = integers(model, model.shape)
    words = encode(twin, images, given)
    if not torch.equal(decode(twin, words, IMAGES, given), images):
        raise ConformanceError("images come back as others")
    with torch.no_grad():
        nats = -float(evaluation_view(model).log_prob(images, condition).sum())
    own = nats / math.log(2)
    loss, bits = excess(model, images, given).expected, 32 * len(words)
    if loss * own > ALLOWED * own + SLACK:
        raise ConformanceError(
            f"in whole numbers its images take {loss:+.2%} bits, {ALLOWED:.1%} is allowed;"
            " pixelcnn.calibrate it anew, with images like those to be compressed"
        )
    if bits > own * (1 + loss) + SLACK:
        raise ConformanceError(f"{bits} bits for images of {own * (1 + loss):.0f}")
    told = "" if calibrated else "; it was not calibrated before"
    return f"{IMAGES} images of {model.shape}: {loss:+.2%} bits in whole numbers{told}"
