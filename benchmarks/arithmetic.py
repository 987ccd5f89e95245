"""The arithmetic that an image needs: one forward pass over the weights that no mask switches off."""

from pixelcnn import PixelModel
from pixelcnn.engines.trace import trace
from pixelcnn.program import Dense, Sum


def live_flops(model: PixelModel) -> int:
    """Floating-point operations an image takes at least, in matrix products.

    Two (a product and a sum) for every live weight of every tap, at every position of the image: taps that
    leave the image at its border count like all others, biases and elementwise functions not at all. Weights
    between units act once an image.

    Raises:
        Unlowerable: the network has no program.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(1, 1, width=1, depth=0, first_kernel=3, head_depth=0)
        >>> live_flops(PixelModel(network, outputs.Bernoulli(), (1, 5, 7)))  # (4 + 1) * 2 * 35
        350
        >>> dense = networks.MADE(1, 1, rows=1, columns=3, width=2)
        >>> live_flops(PixelModel(dense, outputs.Bernoulli(), (1, 1, 3)))  # (3 + 3 + 3) * 2
        18
    """
    nodes = trace(model.network).nodes
    taps = (tap for node in nodes if isinstance(node, Sum) for tap in node.taps)
    everywhere = sum(int(tap.live.sum()) for tap in taps)
    once = sum(int(node.live.sum()) for node in nodes if isinstance(node, Dense))
    return 2 * (everywhere * model.shape.height * model.shape.width + once)
