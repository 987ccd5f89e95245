"""New models for some images: whatever the images decide, follows them."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pixelcnn import config, data, memory
from pixelcnn.budget import Budget, OverBudget
from pixelcnn.data import ImageSet, Splits
from pixelcnn.data.augmentation import Augmentation
from pixelcnn.data.opening import brief
from pixelcnn.data.reading import typed
from pixelcnn.data.tags import Tags
from pixelcnn.errors import ConfigError, ResourceError
from pixelcnn.layers import CONDITIONS
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS, Network
from pixelcnn.outputs import OUTPUTS, Output
from pixelcnn.streams import DrawFrom
from pixelcnn.surroundings import independent

log = logging.getLogger("pixelcnn")
LABELLED = "folders that are classes, labels in an .npz, labels.npy beside images.npy"
DERIVED = ("channels", "out", "order", "condition_size", "rows", "columns", "codes")
"""Arguments of a network that follow from the images and the output."""

WIDTHS = ("width", "bottleneck", "hidden", "middle", "head_width")
"""Arguments that count features, of which every channel needs one."""

MOST_TENSORS = 2**17
"""Of a network; so many are built in some seconds."""
FEW = 2**24
"""Numbers of a network that is built without asking how much memory there is."""
BYTES = 20
"""That training takes for a parameter: the weight, its gradient, two moments and its average."""

Table = dict[str, Any]


def create_model(
    network: str,
    train: Any,
    *,
    seed: int = 0,
    output: str | Mapping[str, Any] | Output | None = None,
    tags: Sequence[str] = (),
    **arguments: Any,
) -> PixelModel:
    """A new model for some images, on the CPU: channels, size, levels and classes follow them.

    The weights are a function of the arguments, and PyTorch's global random state is neither read nor
    written, so a seed gives the same model in any thread and after any other work.

    Args:
        network: registered name, such as ``"gated-pixelcnn"``.
        train: images that it is for, or splits of them; or any other source, see
            :func:`pixelcnn.data.load_all`.
        seed: of the weights, in [0, 2**63).
        output: a registered name, a table of a name and arguments, or an output; for None a Bernoulli
            for two levels, else a categorical one.
        tags: transformations of which the network is told in training with ``augment_tag``, see
            :class:`pixelcnn.data.augmentation.Augmentation`.
        **arguments: of the network, without those that follow from the images and the output.

    Raises:
        UnknownName: no such network or output.
        ConfigError: an argument that is unknown, of the wrong type or out of range, or that follows from
            the images; a condition that they have not.
        DataError: images that cannot be read.
        ResourceError: a network that memory does not hold, before it is built.

    Example:
        >>> from pixelcnn import data
        >>> model = create_model("gated-pixelcnn", data.load("digits"), seed=0, width=8, depth=2)
        >>> str(model.shape), model.levels, model.output.parameters_per_pixel(1), model.network.out
        ('1x8x8', 17, 17, 17)
    """
    seed = config.check_integer("seed", seed, 0, 2**63 - 1)
    if not isinstance(train, ImageSet | Splits):
        train = data.load_all(train)
    images, known = _images(train), config.arguments(NETWORKS[network])
    for name in arguments:
        if name in DERIVED:
            raise ConfigError(
                f"{name} follows from the images and the output",
                hint="leave it out, or build a PixelModel",
            )
    distribution = _output(output, images.levels)
    given = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
    tags = config.checked("tags", tags, list[str] | tuple[str, ...], "a list of transformations")
    count = Augmentation(tuple(tags), images.shape).count
    found = _derived(given, distribution, images, count)
    derived = {k: v for k, v in found.items() if k in known}
    table = {"name": network} | given | derived
    try:
        built = _built(table, seed, Budget(MOST_TENSORS, FEW))
    except OverBudget:
        _check_memory(table)
        built = _built(table, seed, contextlib.nullcontext())
    model = PixelModel(built, distribution, images.shape)
    if count > 1:
        model.record = {"tags": {"transformations": list(tags), "count": count}}
    return model


@independent
def _built(network: Table, seed: int, limit: contextlib.AbstractContextManager[Any]) -> Network:
    """A network with weights of a seed, built within a limit."""
    with DrawFrom(torch.Generator().manual_seed(seed)), limit:
        return config.from_config(NETWORKS, network)


def _check_memory(network: Table) -> None:
    """Builds a network without its numbers, and refuses one that memory does not hold while it is trained.

    Raises:
        ConfigError: as :func:`pixelcnn.config.from_config`.
        ResourceError: it is too large.
    """
    free = memory.available()
    if free is None:
        return
    try:
        with torch.device("meta"), Budget(MOST_TENSORS, free // BYTES):
            built = config.from_config(NETWORKS, network)
        needed = BYTES * sum(each.numel() for each in built.parameters())
        if needed > free:
            raise OverBudget(f"{needed:,} bytes")
    except OverBudget as error:
        raise ResourceError(
            f"the network is too large to be trained in the {free:,} bytes of memory that are free",
            hint="give it fewer or narrower layers",
        ) from error
    except RuntimeError:
        return  # a network that looks at its numbers while it is built


def adapted(
    network: Table, output: Table, train: ImageSet | Splits
) -> tuple[Table, Table, list[str]]:
    """The tables of a recipe as they fit images that it may not be written for.

    Args:
        network: name and arguments of a network.
        output: name and arguments of an output.
        train: the images, or splits of them.

    Returns:
        Both tables, and what had to differ, in words.
    """
    images, notes = _images(train), []
    if output["name"] == "bernoulli" and images.levels != 2:
        notes.append(f"{images.levels} levels: a categorical output instead of a Bernoulli")
        output = {"name": "categorical"}
    channels, network = images.shape.channels, dict(network)
    by_channel = not _output(output, images.levels).couples_channels
    fewest = channels + NETWORKS[network["name"]].spare
    for key in WIDTHS if by_channel else ():
        value = network.get(key)
        if isinstance(value, int) and value < fewest:
            notes.append(f"{channels} channels: {key} {fewest} instead of {value}")
            network[key] = fewest
    return network, output, notes


def _images(train: ImageSet | Splits) -> ImageSet:
    """What is trained on.

    Raises:
        ConfigError: no set of images.
    """
    images = train.train if isinstance(train, Splits) else train
    hint = "pixelcnn.data.load, or load_all, makes sets of any source"
    return config.checked("train", images, ImageSet, hint)


def _derived(arguments: Table, output: Output, images: ImageSet, tags: int) -> Table:
    """Arguments that follow from the images and the output; a network may take only some of them."""
    channels, height, width = images.shape
    derived: Table = {
        "channels": channels,
        "out": output.parameters_per_pixel(channels),
        "order": "pixel" if output.couples_channels else "channel",
        "rows": height,
        "columns": width,
    }
    if arguments.get("embedding"):
        derived["codes"] = images.levels
    kind = arguments.get("condition")
    if images.condition_names and kind not in ("vector", "map"):
        names = brief(", ".join(images.condition_names))
        log.warning(
            "the network is not told %s: that takes network.condition, vector or map", names
        )
    if kind is not None or tags > 1:
        own = Tags(kind, 0 if kind is None else _condition_size(kind, images), tags)
        derived["condition"], derived["condition_size"] = own.network
    return derived


def _condition_size(kind: str, images: ImageSet) -> int:
    """Classes, or features of the vectors or maps, of some images.

    Raises:
        ConfigError: the images have nothing of this kind, or there is no such kind.
    """
    config.check_choice("condition", kind, tuple(name for name in CONDITIONS if name))
    given = images.given(kind)
    if given is None:
        raise ConfigError(
            f"the network is conditional, but {images.name or 'the set of images'} has no {kind}s",
            hint=f"use data with {kind}s"
            + (
                f" ({LABELLED})"
                if kind == "label"
                else f", say where they are with {typed('condition')}"
            )
            + ", or set network.condition to none",
        )
    return images.label_count if kind == "label" else given.shape[1]


def _output(output: str | Mapping[str, Any] | Output | None, levels: int) -> Output:
    """The output that is asked for, for so many levels.

    Raises:
        ConfigError: it is for another number of levels.
    """
    if output is None:
        output = "bernoulli" if levels == 2 else "categorical"
    if not isinstance(output, Output):
        table = {"name": output} if isinstance(output, str) else dict(output)
        output = config.from_config(OUTPUTS, {"levels": levels} | table)
    if output.levels != levels:
        raise ConfigError(
            f"the output is for {output.levels} levels, the images have {levels}",
            hint=f"levels={levels}",
        )
    return output
