"""Complete digits from any part of them.

    python examples/complete_with_mask.py [MODEL]

MODEL is a model of the embedded digits: the one that comes with the package, unless another is named, such
as the runs/digits-digits of `pixelcnn train digits`. Writes completions.png into the current folder.
"""

import sys

import torch

import pixelcnn as px
from pixelcnn import data, plotting
from pixelcnn.masks import raster_past


def known_parts(height: int, width: int) -> dict[str, torch.Tensor]:
    """Masks ``(1, 1, height, width)``, True where a pixel is given."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    masks = {
        "upper half": rows < height // 2,
        "left half": columns < width // 2,
        "every other column": columns % 2 == 0,
    }
    return {name: mask[None, None] for name, mask in masks.items()}


def ignored(known: torch.Tensor) -> int:
    """Pairs of a drawn pixel and a given one that comes later, and so has no influence on it."""
    given = known[0, 0].flatten()
    past = raster_past(1, *known.shape[2:]).reshape(len(given), len(given))  # target, source
    return int((past.T & ~given[:, None] & given[None, :]).sum())


def main(source: str = "digits") -> None:
    """Draws the completions of three digits under three masks."""
    model = px.load(source)
    digits = data.load("digits").test.limit(3).images

    pictures = []
    for name, known in known_parts(*model.shape[1:]).items():
        drawn = px.complete(model, digits, known, n=8, seed=0)
        pictures.append(plotting.completions(digits, known, drawn, model.levels, scale=6))
        kind = "exact samples" if ignored(known) == 0 else "an approximation"
        print(f"{name}: {int(known.sum())} of {known.numel()} pixels given, {kind}")

    plotting.stacked(pictures).save("completions.png")
    print("look at completions.png: given pixels are tinted blue, eight completions beside them")


if __name__ == "__main__":
    main(*sys.argv[1:])
