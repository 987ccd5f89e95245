"""A network of your own, put to the test.

    python examples/own_network.py

The network sees rows above through a wide kernel and the row itself through a long one. It is checked,
registered under a name, and used like any other. A second one has a mistake that trains well and
samples badly; the checks name it.
"""

import torch
from torch import Tensor, nn

import pixelcnn as px
from pixelcnn import data, outputs
from pixelcnn.layers import MaskedConv2d, ShiftedConv2d
from pixelcnn.masks import interleaved
from pixelcnn.networks import NETWORKS, Network


@NETWORKS.register("cross")
class Cross(Network):
    """What lies above and what lies to the left, each through one kernel.

    Args:
        channels: image channels.
        out: parameters per pixel.
        width: feature maps.
        reach: how many pixels up and to the left the kernels go.
        order: see :class:`Network`.
        condition: see :class:`Network`.
        condition_size: see :class:`Network`.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        width: int = 48,
        reach: int = 3,
        order: str = "channel",
        condition: str | None = None,
        condition_size: int = 0,
    ) -> None:
        super().__init__(channels, out, order, condition, condition_size)
        self.width, self.reach = width, reach
        image, features = self.image_features, interleaved(width, self.colours)
        self.above = ShiftedConv2d(image, features, (reach, 2 * reach + 1), (reach, reach))
        self.left = ShiftedConv2d(image, features, (1, reach + 1), (0, reach), sees_itself=False)
        self.bias = self.condition_bias(width)
        self.middle = MaskedConv2d(features, features, (1, 1), sees_itself=True)
        self.head = MaskedConv2d(features, self.out_features, (1, 1), sees_itself=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = self.above(x) + self.left(x)
        if self.bias is not None:
            y = y + self.bias(condition)
        return self.head(torch.relu(self.middle(torch.relu(y))))


class Normalised(Cross):
    """The same with a batch norm, whose statistics run over the whole image."""

    def __init__(self, channels: int, out: int, width: int = 48) -> None:
        super().__init__(channels, out, width)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = self.norm(self.above(x) + self.left(x))
        return self.head(torch.relu(self.middle(torch.relu(y))))


def main() -> None:
    """Checks both networks, then trains the good one."""
    for channels in (1, 3):
        px.verify.check_network(Cross(channels, out=2 * channels)).raise_if_failed()
    print(px.verify.check_network(Cross(channels=1, out=2, condition="label", condition_size=10)))
    print()
    print(px.verify.receptive_field(Cross(channels=1, out=2), 7, 11).text())
    print()

    report = px.verify.check_network(Normalised(channels=1, out=2))
    for row in report.failures:
        print(f"{report.subject}, {row.name}: {row.detail}")
    print()

    # Registered, so it trains, saves and loads like any other.
    train, val, test = data.load("digits", levels=2)
    model = px.PixelModel(Cross(channels=1, out=1), outputs.Bernoulli(), train.shape)
    px.fit(model, train, val, epochs=3, learning_rate=3e-3, verbose=False)
    px.save(model, "cross.safetensors")
    again = px.load("cross.safetensors")
    print(f"{px.evaluate(again, test).bits_per_dim:.3f} bits/dim of binary digits after 3 epochs")
    print("engine:", px.engines.choose(again).name)


if __name__ == "__main__":
    main()
