"""Networks of one thought: a masked layer, a body, and a head that reads what the body gives."""

import torch
from torch import nn

from engines.walks import alive, images_of, parameters
from pixelcnn import PixelModel, outputs
from pixelcnn.engines import parallel
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.full import FullEngine
from pixelcnn.engines.trace import trace
from pixelcnn.layers import MaskedConv2d
from pixelcnn.networks import Network, parameters_of

WIDTH = 6


class Small(Network):
    """Does ``body(self, y)`` to the features ``(n, 6, h, w)`` of a masked layer.

    Args:
        body: gives ``(n, any, h, w)``.
        headless: returns what the body gives, whatever that is.
        layers: by name, for the body.
    """

    def __init__(self, body, headless=False, **layers):
        super().__init__(1, 2, "channel", None, 0)
        self.body = body
        self.first = MaskedConv2d((0,), (0,) * WIDTH, (3, 3), sees_itself=False)
        self.layers = nn.ModuleDict(layers)
        self.head = nn.Identity()
        if headless:
            return
        with torch.no_grad():
            width = body(self, torch.zeros(2, WIDTH, 3, 5)).shape[1]
        self.head = MaskedConv2d((0,) * width, (0, 0), (1, 1), sees_itself=True)

    def __getattr__(self, name):
        layers = self._modules.get("layers", ())
        return layers[name] if name in layers else super().__getattr__(name)

    def forward(self, x, condition=None):
        y = self.body(self, self.first(x))
        return y if isinstance(self.head, nn.Identity) else self.head(y)


def small_model(body, seed=0, **layers):
    """A model in float64 none of whose weights is zero."""
    torch.manual_seed(seed)
    network = body if isinstance(body, Network) else Small(body, **layers)
    return alive(network, outputs.Categorical(levels=2), (1, 3, 5)).double()


def assert_followed(model: PixelModel) -> None:
    """The program gives what ``forward`` gives, for whole images and a position at a time."""
    program, images = trace(model.network), images_of(model, 3)
    x = model.encode(images, torch.float64)
    with torch.no_grad():
        expected = parameters_of(model.network, x)
    found = parallel.compute(program, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10, equal_nan=True)
    fast = parameters(model, CachedEngine(model, program, 3, None), images)
    slow = parameters(model, FullEngine(model, None), images)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10, equal_nan=True)
