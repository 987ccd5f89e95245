"""What any model has to beat, and how well scores separate."""

import numpy as np
from numpy.typing import NDArray

from pixelcnn.data import ImageSet
from pixelcnn.shapes import ImageShape

Numbers = NDArray[np.float64]


def uniform_nats(shape: ImageShape, levels: int) -> float:
    """Nats of an image whose levels are all equally likely.

    Example:
        >>> round(uniform_nats(ImageShape(1, 8, 8), 2), 2)
        44.36
    """
    return float(shape.dimensions * np.log(levels))


def histogram_nats(train: ImageSet, test: ImageSet) -> Numbers:
    """Nats of each test image under the training histogram of each sub-pixel, (n,).

    Every level counts one more time than it occurs, so that none is impossible.
    """
    seen = train.images.flatten(1).numpy()
    counts = np.stack([(seen == level).sum(0) for level in range(train.levels)]) + 1.0
    logs = np.log(counts / counts.sum(0))
    levels = test.images.flatten(1).numpy().astype(np.int64)
    nats: Numbers = -logs[levels, np.arange(levels.shape[1])].sum(1)
    return nats


def auroc(odd: Numbers, normal: Numbers) -> float:
    """The chance that an odd image scores above a normal one; ties count half.

    Example:
        >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    above = (odd[:, None] > normal).mean()
    ties = (odd[:, None] == normal).mean()
    return float(above + ties / 2)
