"""Networks of units that no registered one is."""

import torch

from pixelcnn import networks
from pixelcnn.layers import MaskedConv2d, MaskedLinear
from pixelcnn.layers.dense import Flatten, Unflatten

ROWS, COLUMNS = 3, 5


class Tangled(networks.Network):
    """Units in no order, that read cut and joined ones; of the layers one may see too much."""

    def __init__(self, channels=1, late=0):
        super().__init__(channels, 2 * channels, "channel", None, 0)
        self.largest = (ROWS, COLUMNS)
        steps = torch.arange(ROWS * COLUMNS * channels)
        drawn = torch.randint(len(steps), (23,), generator=torch.Generator().manual_seed(0))
        self.flatten, self.unflatten = Flatten(ROWS, COLUMNS), Unflatten(ROWS, COLUMNS)
        self.hidden = MaskedLinear(steps + 1, drawn)
        self.again = MaskedLinear(torch.cat([drawn[5:], steps + 1, drawn]), drawn.flip(0))
        self.head = MaskedLinear(drawn.flip(0), steps.repeat_interleave(2) + late)

    def forward(self, x, condition=None):
        image = self.flatten(x)
        y = self.hidden(image)
        y = torch.cat([torch.tanh(y[:, 5:]), image, y], 1)
        return self.unflatten(torch.sigmoid(self.head(self.again(y))), x)


class Between(networks.Network):
    """Units between convolutions, twice."""

    def __init__(self):
        super().__init__(1, 2, "channel", None, 0)
        self.largest = (ROWS, COLUMNS)
        some, seen = (0, 0, 0), torch.arange(ROWS * COLUMNS).repeat_interleave(3)
        self.first = MaskedConv2d((0,), some, (3, 3), sees_itself=False)
        self.middle = MaskedConv2d(some, some, (3, 3), sees_itself=True)
        self.last = MaskedConv2d(some, (0, 0), (3, 3), sees_itself=True)
        self.flatten, self.unflatten = Flatten(ROWS, COLUMNS), Unflatten(ROWS, COLUMNS)
        self.dense = torch.nn.ModuleList(MaskedLinear(seen, seen) for _ in range(2))

    def forward(self, x, condition=None):
        y = self.first(x)
        for dense, convolution in zip(self.dense, (self.middle, self.last), strict=True):
            z = torch.tanh(dense(self.flatten(y)))
            y = convolution(y + self.unflatten(z, x))
        return y
