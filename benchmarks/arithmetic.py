"""The arithmetic that an image needs: one forward pass over the weights that no mask switches off."""

from pixelcnn import PixelModel
from pixelcnn.engines.trace import trace
from pixelcnn.program import Dense, Sum


def live_flops(model: PixelModel) -> int:
    """Floating-point operations an image takes at least, in matrix products.

    Two (a product and a sum) for every live weight of every tap, at every position of its grid: taps that
    leave the image at its border count like all others, biases, attention and elementwise functions not at
    all. Weights between units act once an image.

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
    flops = 0
    for node in trace(model.network).nodes:
        if isinstance(node, Dense):
            flops += 2 * int(node.live.sum())
        elif isinstance(node, Sum):
            rows, columns = (-(-side // node.clock) for side in model.shape[1:])
            for tap in node.taps:  # one that makes a grid finer acts at every so many positions
                down, right = tap.phase
                positions = len(range(down, rows, node.up)) * len(range(right, columns, node.up))
                flops += 2 * int(tap.live.sum()) * positions
    return flops
