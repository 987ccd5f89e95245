"""Train on an array of your own.

    python examples/own_array.py [IMAGES.npy]

The array holds integers (n, h, w), (n, h, w, c) or (n, c, h, w). Without one, 600 pictures of a bright
disc are made, so that there is something to look at. Writes own_array.npy, own_array.safetensors and
own_array.png into the current folder.
"""

import argparse
from pathlib import Path

import numpy as np

import pixelcnn as px
from pixelcnn import data, networks, outputs, plotting


def discs(n: int = 600, height: int = 11, width: int = 13) -> np.ndarray:
    """Pictures of one disc each, brightest in its middle: uint8 ``(n, height, width)``."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    row, column = rng.uniform(2, height - 2, (n, 1, 1)), rng.uniform(2, width - 2, (n, 1, 1))
    radius = rng.uniform(2, 5, (n, 1, 1))
    distance = np.hypot(rows - row, columns - column)
    return (255 * np.clip(1 - distance / radius, 0, 1)).astype(np.uint8)


def main() -> None:
    """What the script does, from the array to the picture."""
    parser = argparse.ArgumentParser(description="Train on an array of your own.")
    parser.add_argument("images", nargs="?", type=Path, help=".npy or .npz; made if left out")
    parser.add_argument("--levels", type=int, default=8, help="quantise to this many")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if options.images is None:
        options.images = Path("own_array.npy")
        np.save(options.images, discs())

    # Split by content into train, validation and test; 256 grey values become a few equal bins.
    train, val, test = data.load(options.images, levels=options.levels)
    channels = train.shape.channels
    print(f"{len(train)} images of {train.shape} with {train.levels} levels train")

    # One output and one network make a model; what they share follows from the data.
    output = outputs.Categorical(levels=train.levels)
    network = networks.GatedPixelCNN(
        channels, output.parameters_per_pixel(channels), width=24, depth=4
    )
    model = px.PixelModel(network, output, train.shape)
    px.fit(model, train, val, epochs=options.epochs, learning_rate=3e-3, batch_size=32)

    # Test images choose nothing, so this is what the model is worth.
    score = px.evaluate(model, test)
    nothing = np.log2(train.levels)
    print(f"{score.nats:.1f} ± {score.stderr:.1f} nats an image")
    print(f"{score.bits_per_dim:.3f} bits/dim, where knowing nothing costs {nothing:.3f}")

    px.save(model, "own_array.safetensors")
    plotting.save_grid(px.sample(model, 24, seed=0), "own_array.png", model.levels, columns=8)
    print("look at own_array.png; pixelcnn sample own_array.safetensors draws more")


if __name__ == "__main__":
    main()
