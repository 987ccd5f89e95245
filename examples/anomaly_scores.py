"""Find odd images by their likelihood.

    python examples/anomaly_scores.py [MODEL]

MODEL is a model of the embedded digits: the one that comes with the package, unless another is named, such
as the runs/digits-digits of `pixelcnn train digits`. The score of an image is minus its log-probability in
nats. It is compared with a corrected one, which subtracts the size of the image as a PNG, since plain
images are likely under almost any model (Serra et al., 2020).
"""

import sys

import torch

import pixelcnn as px
from pixelcnn import data
from pixelcnn.scoring import percentiles, png_nats


def odd_images(digits: torch.Tensor, levels: int) -> dict[str, torch.Tensor]:
    """Images that are no digits, or no ordinary ones, of the same shape ``(n, 1, h, w)``."""
    shuffle = torch.randperm(digits[0].numel(), generator=torch.Generator().manual_seed(0))
    return {
        "upside down": digits.flip(2),
        "negative": levels - 1 - digits,
        "pixels shuffled": digits.flatten(1)[:, shuffle].reshape(digits.shape),
        "empty": torch.zeros_like(digits),
    }


def separation(ordinary: torch.Tensor, odd: torch.Tensor) -> float:
    """How often an odd image scores above an ordinary one: 1 always, 0.5 as by chance (ROC area)."""
    above = (odd[:, None] > ordinary).double() + 0.5 * (odd[:, None] == ordinary).double()
    return float(above.mean())


def main(source: str = "digits") -> None:
    """Prints how well likelihood tells odd images from digits."""
    model = px.load(source)
    digits = data.load("digits").test.images  # the model has never seen these

    ordinary = px.score(model, digits)
    plain = ordinary - png_nats(digits, model.levels)
    print(f"{'':18}{'nats':>8}{'percentile':>12}{'found by nats':>16}{'by nats - png':>16}")
    print(f"{'test digits':18}{ordinary.mean():8.1f}{percentiles(model, ordinary).median():12.0f}")
    for name, images in odd_images(digits, model.levels).items():
        nats = px.score(model, images)
        corrected = nats - png_nats(images, model.levels)
        print(
            f"{name:18}{nats.mean():8.1f}{percentiles(model, nats).median():12.0f}"
            f"{separation(ordinary, nats):16.0%}{separation(plain, corrected):16.0%}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
