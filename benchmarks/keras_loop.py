"""The Keras tutorial's network and its sampling loop, for an environment of its own.

Reads numbers of images from stdin, a line each, and answers with the seconds that one turn of the loop
takes, or, after the word "train", one training step. After the word "learn", a time and a folder with
images it trains on these for so long, and answers with the validation loss in nats a pixel. Knows nothing
of this package: the interpreter that runs it has Keras 3 and one of its backends.

Reference: keras.io/examples/generative/pixelcnn by ADMoreau, 2020. Deviations: written anew; no fixed batch
size of the input, no progress bar; random numbers become numpy arrays, which the torch backend needs.
"""

import os
import sys
import time
from typing import Any

import keras
import numpy as np
from keras import layers, ops

SHAPE = (28, 28, 1)
FILTERS, BLOCKS = 128, 5
XLA = "xla"
"""An argument: steps are compiled, which Keras leaves to a GPU where tensorflow is its backend."""


class Masked(layers.Layer):
    """A convolution whose stored kernel is masked anew in every call, as in the tutorial."""

    def __init__(self, filters: int, size: int, *, centre: bool) -> None:
        super().__init__()
        self.centre = centre
        self.conv = layers.Conv2D(filters, size, activation="relu", padding="same")

    def build(self, input_shape: Any) -> None:
        """Builds the convolution, then its mask."""
        self.conv.build(input_shape)
        rows, columns = self.conv.kernel.shape[:2]
        self.mask = np.zeros(self.conv.kernel.shape, "float32")
        self.mask[: rows // 2] = 1
        self.mask[rows // 2, : columns // 2 + self.centre] = 1

    def call(self, inputs: Any) -> Any:
        """Masks the kernel and convolves."""
        self.conv.kernel.assign(self.conv.kernel * self.mask)
        return self.conv(inputs)


def network() -> keras.Model:
    """The tutorial's network, 532,673 parameters."""
    inputs = keras.Input(SHAPE)
    x = Masked(FILTERS, 7, centre=False)(inputs)
    for _ in range(BLOCKS):
        y = layers.Conv2D(FILTERS, 1, activation="relu")(x)
        y = Masked(FILTERS // 2, 3, centre=True)(y)
        y = layers.Conv2D(FILTERS, 1, activation="relu")(y)
        x = layers.add([x, y])
    for _ in range(2):
        x = Masked(FILTERS, 1, centre=True)(x)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def turn(model: keras.Model, pixels: np.ndarray, row: int, column: int) -> None:
    """One sub-pixel of every image, as the tutorial draws it."""
    probabilities = model.predict(pixels, verbose=0)[:, row, column, 0]
    uniforms = ops.convert_to_numpy(keras.random.uniform(probabilities.shape))
    pixels[:, row, column, 0] = np.ceil(probabilities - uniforms)


def step(model: keras.Model, pixels: np.ndarray) -> None:
    """One training step on images, as the tutorial's ``fit`` takes them."""
    if not model.compiled:
        compiled = True if XLA in sys.argv else "auto"
        model.compile(keras.optimizers.Adam(0.0005), "binary_crossentropy", jit_compile=compiled)
    model.train_on_batch(pixels, pixels)


def learn(model: keras.Model, seconds: float, folder: str) -> float:
    """Trains as the tutorial does, in batches of 128 in a shuffled order; the loss of all of ``val.npy``.

    Args:
        model: as it starts.
        seconds: of training; the validation comes after them.
        folder: with ``train.npy`` and ``val.npy``, zeros and ones ``(n, 28, 28, 1)``.
    """
    images, shuffle = np.load(f"{folder}/train.npy"), np.random.default_rng(0)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        order = shuffle.permutation(len(images))
        for begin in range(0, len(order), 128):
            if time.perf_counter() - start >= seconds:
                break
            step(model, images[order[begin : begin + 128]].astype("float32"))
    pixels = np.load(f"{folder}/val.npy").astype("float32")
    return float(model.evaluate(pixels, pixels, batch_size=128, verbose=0))


def main() -> None:
    """Announces itself, then answers until the input ends."""
    model = network()
    assert model.count_params() == 532_673
    print("ready", keras.__version__, os.environ["KERAS_BACKEND"], flush=True)
    for line in sys.stdin:
        if line.startswith("learn "):
            _, limit, folder = line.strip().split(maxsplit=2)
            print(learn(network(), float(limit), folder), flush=True)
            continue
        *training, n = line.split()
        pixels = np.zeros((int(n), *SHAPE), "float32")
        if training:
            pixels[np.random.default_rng(0).random(pixels.shape) < 0.15] = 1
            step(model, pixels)  # not counted: it finds caches as another contender left them
        start = time.perf_counter()
        if training:
            step(model, pixels)
        else:
            turn(model, pixels, SHAPE[0] // 2, SHAPE[1] // 2)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
