"""A source whose entropy is known: no model may beat it, and a good one comes close.

Each level is a function of its past plus independent noise, modulo the number of levels. Whatever the
function is, the entropy of an image is the entropy of the noise times the number of sub-pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from broken import Softmax, UnmaskedLater
from pixelcnn.model import PixelModel
from pixelcnn.networks import GatedPixelCNN, PixelCNN
from pixelcnn.outputs import Categorical
from pixelcnn.scoring import score
from pixelcnn.shapes import ImageShape, coding_order
from tiny import label, marked, tiny_models

STANDARD_ERRORS = 5
"""How far below the entropy counts as broken: by chance in fewer than one of a million runs."""


@dataclass(frozen=True)
class Source:
    """Images whose levels follow their left, upper and colour neighbours, disturbed by noise."""

    shape: ImageShape
    noise: tuple[float, ...]

    @property
    def levels(self) -> int:
        return len(self.noise)

    @property
    def entropy(self) -> float:
        """Nats per image, exactly."""
        return -self.shape.dimensions * math.fsum(p * math.log(p) for p in self.noise)

    def predicted(self, images: torch.Tensor, channel: int, row: int, column: int) -> torch.Tensor:
        """What a level would be without noise, ``(n,)``."""
        nothing = torch.zeros(len(images), dtype=torch.int64)
        left = images[:, channel, row, column - 1] if column else nothing
        above = images[:, channel, row - 1, column] if row else nothing
        beside = images[:, channel - 1, row, column] if channel else nothing
        return torch.where(above > left, above, left + beside) % self.levels

    def draw(self, n: int, seed: int) -> torch.Tensor:
        """Images, uint8 ``(n, c, h, w)``."""
        p = np.array(self.noise)
        noise = np.random.default_rng(seed).choice(self.levels, size=(n, *self.shape), p=p)
        images = torch.zeros(n, *self.shape, dtype=torch.int64)
        for channel, row, column in coding_order(self.shape):
            clean = self.predicted(images, channel, row, column)
            disturbed = clean + torch.from_numpy(noise[:, channel, row, column])
            images[:, channel, row, column] = disturbed % self.levels
        return images.to(torch.uint8)

    def nats(self, images: torch.Tensor) -> torch.Tensor:
        """The true negative log-likelihood of each image, float64 ``(n,)``."""
        images, logs = images.long(), torch.tensor(self.noise, dtype=torch.float64).log()
        total = torch.zeros(len(images), dtype=torch.float64)
        for channel, row, column in coding_order(self.shape):
            level = images[:, channel, row, column]
            total -= logs[(level - self.predicted(images, channel, row, column)) % self.levels]
        return total


GREY = Source(ImageShape(1, 5, 7), (0.7, 0.15, 0.1, 0.05))
COLOUR = Source(ImageShape(3, 4, 5), (0.75, 0.2, 0.05))


def excess(model: PixelModel, source: Source, n: int = 1000, seed: int = 99) -> tuple[float, float]:
    """Nats per image above the truth on fresh images, and its standard error.

    The difference on the same images has a far smaller error than the score itself; its expectation is
    the Kullback-Leibler divergence, which is never negative.
    """
    images = source.draw(n, seed)
    above = score(model, images) - source.nats(images)
    return float(above.mean()), float(above.std()) / math.sqrt(n)


def train(
    model: PixelModel, source: Source, steps: int, batch: int = 64, rate: float = 1e-2
) -> None:
    """Adam on images that are new in each step."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    images = source.draw(steps * batch, seed=1)
    for part in images.split(batch):
        optimizer.zero_grad()
        (-model.log_prob(part).mean()).backward()
        optimizer.step()
        decay.step()


@pytest.mark.parametrize("source", [GREY, COLOUR], ids=["grey", "colour"])
def test_the_source_has_the_entropy_it_claims(source):
    nats = source.nats(source.draw(2000, seed=0))
    error = float(nats.std()) / math.sqrt(len(nats))
    assert abs(float(nats.mean()) - source.entropy) < STANDARD_ERRORS * error


@pytest.mark.parametrize(
    ("source", "build"),
    [
        (GREY, lambda: GatedPixelCNN(1, 4, width=16, depth=2, first_kernel=3)),
        (GREY, lambda: PixelCNN(1, 4, width=24, depth=1, first_kernel=3)),
        (COLOUR, lambda: PixelCNN(3, 9, width=48, depth=1, first_kernel=3)),
    ],
    ids=["grey-gated", "grey-plain", "colour-plain"],
)
def test_a_trained_model_comes_close_and_never_beats_the_source(source, build):
    torch.manual_seed(0)
    model = PixelModel(build(), Categorical(levels=source.levels), source.shape)
    before, _ = excess(model, source)
    train(model, source, steps=150 if source is GREY else 300, rate=2e-2)
    above, error = excess(model, source)
    assert above > -STANDARD_ERRORS * error
    assert above < 0.02 * source.entropy < before


UNCONDITIONAL = [
    model
    for channels in (1, 3)
    for model in tiny_models(channels)
    if model.network.condition is None  # the source has no labels
]


@pytest.mark.parametrize("model", marked(UNCONDITIONAL), ids=label)
def test_no_registered_model_beats_the_source_after_some_training(model):
    noise = (0.8, *[0.2 / (model.levels - 1)] * (model.levels - 1))
    source = Source(model.shape, noise)
    before, _ = excess(model, source, n=300)
    train(model, source, steps=20, batch=32)
    above, error = excess(model, source, n=300)
    assert above > -STANDARD_ERRORS * error
    assert above < before


def test_a_model_that_sees_the_future_beats_the_source_by_far():
    """What the bound is for: the score of a leaking model is too good to be true."""
    torch.manual_seed(0)
    model = PixelModel(UnmaskedLater(1, 4), Softmax(levels=4), GREY.shape)
    train(model, GREY, steps=100)
    above, error = excess(model, GREY)
    assert above < -20 * error


def test_only_images_seen_in_training_can_score_below_the_truth():
    """Eight images learnt by heart: a fresh test set is not fooled."""
    torch.manual_seed(0)
    network = GatedPixelCNN(1, 4, width=24, depth=3, first_kernel=3)
    model = PixelModel(network, Categorical(levels=4), GREY.shape)
    images = GREY.draw(8, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        (-model.log_prob(images).mean()).backward()
        optimizer.step()
    assert float((score(model, images) - GREY.nats(images)).mean()) < -5.0
    above, error = excess(model, GREY)
    assert above > STANDARD_ERRORS * error


@pytest.mark.slow
@pytest.mark.parametrize("source", [GREY, COLOUR], ids=["grey", "colour"])
def test_the_trainer_comes_within_one_percent_of_the_source(source, tmp_path):
    import pixelcnn as px
    from pixelcnn.data import ImageSet

    torch.manual_seed(0)
    channels = source.shape.channels
    network = GatedPixelCNN(channels, channels * source.levels, width=48, depth=2, first_kernel=3)
    model = PixelModel(network, Categorical(levels=source.levels), source.shape)
    sets = [
        ImageSet(source.draw(n, seed), levels=source.levels, name="source", split=split)
        for n, seed, split in ((20_000, 1, "train"), (500, 2, "val"), (2000, 3, "test"))
    ]
    px.fit(
        model, *sets[:2], run=tmp_path / "run", epochs=5, learning_rate=1e-2, schedule="one-cycle"
    )
    found = px.evaluate(model, sets[2])
    assert found.nats > source.entropy - STANDARD_ERRORS * found.stderr
    assert found.nats < 1.01 * source.entropy + STANDARD_ERRORS * found.stderr
    above, error = excess(model, source)
    assert -STANDARD_ERRORS * error < above < 0.01 * source.entropy
