"""The promises of networks, outputs and models, as checks that anyone can run on their own."""

import torch

from pixelcnn.devices import Device, require_model, resolve_device
from pixelcnn.errors import ModelError
from pixelcnn.model import PixelModel
from pixelcnn.modes import within
from pixelcnn.networks import Network
from pixelcnn.outputs import Output
from pixelcnn.shapes import image_shape
from pixelcnn.surroundings import independent
from pixelcnn.verify.models import ModelChecks
from pixelcnn.verify.networks import NetworkChecks
from pixelcnn.verify.outputs import output_checks
from pixelcnn.verify.probing import require_network
from pixelcnn.verify.report import Progress, Report, run


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def check_network(
    network: Network, height: int = 5, width: int = 7, *, progress: Progress | None = None
) -> Report:
    """Everything that a network promises, measured with random parameters on small images.

    Args:
        network: of any class, registered or not; left as it is.
        height: rows of the images tried.
        width: columns of the images tried; best unlike the rows, so that swapped axes show.
        progress: see :data:`Progress`.

    Raises:
        ModelError: no network, or one without numbers.
        ConfigError: no size of an image.

    Example:
        >>> from pixelcnn.networks import GatedPixelCNN
        >>> check_network(GatedPixelCNN(channels=1, out=2, width=4, depth=2)).passed
        True
    """
    network = require_network(network)
    image_shape((network.channels, height, width))
    subject = f"network {type(network).__name__}"
    return run(subject, NetworkChecks(network, height, width).all(), progress)


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def check_output(output: Output, channels: int = 1, *, progress: Progress | None = None) -> Report:
    """Everything that an output promises, for one number of channels, in float64.

    Args:
        output: of any class, registered or not.
        channels: image channels.
        progress: see :data:`Progress`.

    Raises:
        ModelError: no output.
        ConfigError: no number of channels.

    Example:
        >>> from pixelcnn.outputs import Categorical
        >>> check_output(Categorical(levels=17), channels=3).passed
        True
    """
    if not isinstance(output, Output):
        raise ModelError(
            f"output must be an Output, got {type(output).__name__}",
            hint="that of a model is model.output",
        )
    image_shape((channels, 1, 1))
    subject = f"output {output} for {channels} channels"
    return run(subject, output_checks(output, channels), progress)


@independent
@torch.inference_mode(False)  # what is made in it takes no gradients
def check_model(
    model: PixelModel,
    *,
    thorough: bool = False,
    device: Device | None = None,
    progress: Progress | None = None,
) -> Report:
    """Everything that a model promises, the promises of its network and output included.

    On small images with random weights, and with the model's own weights at its own size.

    Args:
        model: on any device; left as it is.
        thorough: change every sub-pixel of a full-size image, not a few.
        device: where it draws and walks, see :func:`pixelcnn.devices.resolve_device`; None for where the
            model is. What it gives there is compared with scoring on the CPU, where all other checks run, and
            those in float64 where the device has none.
        progress: see :data:`Progress`.

    Raises:
        ConfigError: a device that is not there.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=4, depth=1)
        >>> report = check_model(PixelModel(network, outputs.Bernoulli(), shape=(1, 8, 8)))
        >>> report.raise_if_failed()
    """
    require_model(model)
    network, output = type(within(model.network)).__name__, type(model.output).__name__
    subject = f"model {network} x {output} for {model.shape} images of {model.levels} levels"
    place = model.device if device is None else torch.device(resolve_device(device))
    return run(subject, ModelChecks(model, thorough, place).all(), progress)
