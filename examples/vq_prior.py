"""A prior over the codes of a vector quantiser.

    python examples/vq_prior.py [--epochs N]

Patches of 2x2 pixels of the embedded digits are quantised by k-means to 32 codes, so an image becomes a
map of 4x4 codes; any quantiser would do, such as a VQ-VAE's. A network learns the maps, draws new ones, and
the means of the codes turn those into pictures. Writes codes.npy, vq_prior.safetensors and vq_prior.png
into the current folder; `pixelcnn train vq-prior --data codes.npy` would take the first, too.
"""

import argparse

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import pixelcnn as px
from pixelcnn import data, networks, outputs, plotting

SIDE, CODES = 2, 32
"""Side of a patch, and codes in the book."""


def patches(images: Tensor) -> Tensor:
    """The patches of images ``(n, 1, h, w)``, row by row: ``(n, h / SIDE, w / SIDE, SIDE ** 2)``."""
    columns = functional.unfold(images.float(), SIDE, stride=SIDE)
    return columns.movedim(1, -1).unflatten(1, (images.shape[2] // SIDE, -1))


def pictures(codes: Tensor, book: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Images ``(n, 1, h, w)`` from maps of codes ``(n, 1, h / SIDE, w / SIDE)``."""
    columns = book[codes.long()[:, 0]].flatten(1, 2).movedim(-1, 1)
    return functional.fold(columns, shape[1:], SIDE, stride=SIDE).round().long()


def k_means(points: Tensor, count: int, rounds: int = 30) -> Tensor:
    """Centres ``(count, d)`` of points ``(n, d)`` (Lloyd, 1982), from random points that differ."""
    different = points.unique(dim=0)
    chosen = torch.randperm(len(different), generator=torch.Generator().manual_seed(0))[:count]
    centres = different[chosen]
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)
        sizes = nearest.bincount(minlength=count)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres


def main() -> None:
    """Quantises the digits, learns the codes, draws new ones."""
    parser = argparse.ArgumentParser(description="A prior over the codes of a vector quantiser.")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    digits = data.load_all("digits")
    points = patches(digits.images)
    book = k_means(points.flatten(0, 2), CODES)
    codes = torch.cdist(points.flatten(0, 2), book).argmin(1).reshape(points.shape[:3])
    np.save("codes.npy", codes.numpy().astype(np.uint16))
    decoded = pictures(codes[:, None], book, digits.shape)
    error = (decoded - digits.images.long()).double().square().mean().sqrt()
    print(f"{len(codes)} maps of {codes.shape[1]}x{codes.shape[2]} codes, {CODES} in the book")
    print(f"decoded, they are off by {error:.2f} of {digits.levels - 1} grey values")

    # Codes are names: each gets features of its own, where grey values would be scaled.
    train, val, test = data.load("codes.npy", source_levels=CODES, layout="n h w")
    output = outputs.Categorical(levels=CODES)
    network = networks.GatedPixelCNN(
        1, output.parameters_per_pixel(1), width=32, depth=3, dropout=0.2, embedding=16, codes=CODES
    )
    model = px.PixelModel(network, output, train.shape)
    px.fit(model, train, val, epochs=options.epochs, learning_rate=3e-3, batch_size=32)

    score = px.evaluate(model, test)
    nothing = np.log(CODES) * train.shape.dimensions
    print(f"{score.nats:.2f} nats a map, where knowing nothing costs {nothing:.2f}")

    px.save(model, "vq_prior.safetensors")
    drawn = pictures(px.sample(model, 24, seed=0), book, digits.shape)
    plotting.save_grid(drawn, "vq_prior.png", digits.levels, columns=8)
    print("look at vq_prior.png")


if __name__ == "__main__":
    main()
