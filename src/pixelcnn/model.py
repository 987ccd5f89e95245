"""A model: a network, an output, and the shape of the image."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pixelcnn import given
from pixelcnn.charts import table
from pixelcnn.config import Config, checked, from_config, to_config
from pixelcnn.data import tags
from pixelcnn.data.tensors import OTHERS, numbers_of, remedy
from pixelcnn.devices import require_numbers
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.layers import features_last, masked_weights
from pixelcnn.modes import COMPILED
from pixelcnn.networks import NETWORKS, Network, parameters_of
from pixelcnn.networks.base import ONES_OWN
from pixelcnn.outputs import OUTPUTS, Output
from pixelcnn.record import classes_seen
from pixelcnn.shapes import check_levels, image_shape
from pixelcnn.statistics import Statistics
from pixelcnn.surroundings import independent

if TYPE_CHECKING:
    from pixelcnn.data import ImageSet, Splits
    from pixelcnn.training.recipe import Recipe

log = logging.getLogger("pixelcnn")
NOTHING = torch.empty(0, dtype=torch.float32, device="cpu")
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class PixelModel(given.Conditioned):
    """An exact distribution over images of integer levels.

    Args:
        network: maps the past of each position to parameters.
        output: turns the parameters into a distribution over levels.
        shape: channels, height, width.

    Attributes:
        record: how the model was trained, in JSON types; empty for a new model.
        statistics: of the vectors or maps it is given, set by training; None to take them as they are.

    Raises:
        ConfigError: the parts do not fit, or would silently ignore the dependence between channels.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> output = outputs.Bernoulli()
        >>> network = networks.PixelCNN(channels=1, out=output.parameters_per_pixel(1), width=8, depth=1)
        >>> model = PixelModel(network, output, shape=(1, 5, 7))
        >>> model.log_prob(torch.zeros(2, 1, 5, 7, dtype=torch.uint8)).shape
        torch.Size([2])
    """

    def __init__(self, network: Network, output: Output, shape: tuple[int, int, int]) -> None:
        super().__init__()
        checked("network", getattr(network, COMPILED, network), Network, ONES_OWN)
        checked("output", output, Output, "subclass pixelcnn.outputs.Output: docs/extending.md")
        self.network, self.output, self.shape = network, output, image_shape(shape)
        self.record: dict[str, Any] = {}
        if network.channels != self.shape.channels:
            channels = network.channels
            raise ConfigError(f"a network for {channels} channels cannot model {self.shape} images")
        needed = output.parameters_per_pixel(self.shape.channels)
        if network.out != needed:
            raise ConfigError(
                f"the network gives {network.out} parameters per pixel, the output needs {needed}",
                hint="out=output.parameters_per_pixel(channels)",
            )
        if self.shape.channels > 1 and (network.order == "pixel") != output.couples_channels:
            name = OUTPUTS.name_of(type(output))
            raise ConfigError(
                f"output {name!r} with order {network.order!r} would not model how channels depend on"
                " each other as it should",
                hint="use order='pixel'" if output.couples_channels else "use order='channel'",
            )
        embedding: object = network.embedding
        if not isinstance(embedding, int):
            what = "`embedding` counts a network's features of a code, and is a layer here"
            raise ConfigError(what, hint="give the layer another name")
        if network.embedding and network.codes != output.levels:
            raise ConfigError(
                f"the network embeds {network.codes} codes, the output has {output.levels} levels",
                hint="codes=output.levels",
            )
        _, height, width = self.shape
        rows, columns = network.largest or (height, width)
        if height > rows or width > columns:
            raise ConfigError(
                f"the network is for images of at most {rows}x{columns}, not {height}x{width}"
            )

    @property
    def levels(self) -> int:
        """Levels lie in ``[0, levels)``."""
        return self.output.levels

    @property
    def divisor(self) -> int:
        """What levels are divided by as input of the network; 1 if it embeds them."""
        return 1 if self.network.embedding else self.levels - 1

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU without any."""
        return next(self.parameters(), NOTHING).device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the parameters; float32 without any."""
        return next(self.parameters(), NOTHING).dtype

    @property
    def image_dtype(self) -> torch.dtype:
        """Type of the images that this model returns: uint8 up to 256 levels, else int32."""
        return torch.uint8 if self.levels <= 256 else torch.int32

    @property
    def parameters_count(self) -> int:
        """Stored parameters, as Keras counts them."""
        return sum(p.numel() for p in self.parameters())

    @property
    def live_parameters_count(self) -> int:
        """Parameters that no mask switches off."""
        return self.parameters_count - masked_weights(self)

    def _repr_html_(self) -> str:
        """What a notebook shows; :func:`print` shows the layers."""
        rows = [
            ("network", type(self.network).__name__),
            ("output", self.output),
            ("images", f"{self.shape} (channels x height x width), {self.levels} levels"),
            ("condition", tags.of(self).kind or "none"),
            ("parameters", f"{self.parameters_count:,}, {masked_weights(self):,} of them masked"),
        ]
        if found := self.record.get("validation"):
            rows.append(("validation", f"{found['bits_per_dim']:.4f} bits/dim"))
        return table(rows)

    def config(self) -> Config:
        """What builds the same model again, in JSON types."""
        statistics = {} if self.statistics is None else {"condition": self.statistics.as_config()}
        return {
            "network": to_config(NETWORKS, self.network),
            "output": to_config(OUTPUTS, self.output),
            "shape": list(self.shape),
            "levels": self.levels,
        } | statistics

    @staticmethod
    def from_config(config: Config) -> "PixelModel":
        """A new model with fresh parameters.

        Raises:
            ConfigError: something is missing, unknown or out of range.
        """
        try:
            network = from_config(NETWORKS, config["network"])
            output = from_config(OUTPUTS, config["output"])
            model = PixelModel(network, output, tuple(config["shape"]))
            if "condition" in config:
                size = network.condition_size
                model.statistics = Statistics.from_config(config["condition"], size)
            return model
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a model configuration: {error!r}") from error

    @staticmethod
    def from_recipe(
        recipe: "str | Path | Recipe", train: "ImageSet | Splits", seed: int = 0
    ) -> "PixelModel":
        """A new model as a recipe describes it, for some images.

        What has to differ from the recipe, since the images are others than its own, is logged.

        Args:
            recipe: the name of one, a TOML file, or a recipe.
            train: images that the model is for, or splits of them.
            seed: of the weights, in place of the recipe's.

        Raises:
            UnknownName: no such recipe.
            ConfigError: the recipe does not fit the images.

        Example:
            >>> from pixelcnn import data
            >>> PixelModel.from_recipe("digits", data.load("digits")).parameters_count
            459409
        """
        from pixelcnn.training.recipe import Recipe, get

        chosen = recipe if isinstance(recipe, Recipe) else get(recipe)
        seeded = dataclasses.replace(chosen, training=chosen.training | {"seed": seed})
        model, notes = seeded.build(train)
        for note in notes:
            log.warning("recipe %s: %s", chosen.name, note)
        return model

    def encode(self, levels: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Network input from levels: ``level / (levels - 1)``, or the levels as they are if it embeds them.

        The one place where levels are scaled.

        Args:
            levels: integers of any shape.
            dtype: of the input, the model's if None; looking that up takes longer than scaling a pixel.
        """
        if self.network.embedding:
            return levels.long()
        kind = dtype or self.dtype  # float16 ends before 65,535
        return levels.to(torch.promote_types(kind, torch.float32)).div(self.divisor).to(kind)

    def forward(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        """Parameters ``(n, out, h, w)`` of every position from levels ``(n, c, h, w)``, unchecked."""
        return parameters_of(self.network, features_last(self.encode(levels)), condition)

    @independent
    def check(self, images: Any) -> Tensor:
        """Images as int64 levels ``(n, c, h, w)`` on the model's device.

        Args:
            images: any integer array or tensor ``(n, c, h, w)``; booleans are two levels.

        Raises:
            DataError: not integers, or out of the model's range.
            ModelError: images of another shape than the model's, or a model without numbers.
        """
        if self.device.type == "meta":  # looking at all of them takes longer than this does
            require_numbers(self)
        tensor = numbers_of(images, "images are integer levels (n, c, h, w)", OTHERS)
        kinds = (*INTEGERS, torch.bool) if self.levels == 2 else INTEGERS
        if tensor.dtype not in kinds:
            raise DataError(
                f"images must be integer levels, got {str(tensor.dtype).removeprefix('torch.')}",
                hint=remedy(tensor.dtype),
            )
        self.shape.require(tensor.shape)
        # Strides would choose how convolutions sum, and so the last bits.
        tensor = tensor.to(self.device, torch.int64).contiguous()
        check_levels(tensor, self.levels)
        return tensor

    @independent
    def check_condition(self, condition: Any, n: int) -> Tensor | None:
        """A condition for n images on the model's device, or None for an unconditional model.

        Vectors and maps come in the units of the training data, and leave standardised: so what this gives
        must not be passed in again. It shares no memory with what was passed in, which may change later.

        Args:
            condition: a label or labels ``(n,)``, vectors ``(n, d)`` or maps ``(n, d, h, w)``; one is
                repeated for all images. Features with names may come as a mapping of names to values, or
                as a data frame.
            n: number of images.

        Raises:
            ConfigError: missing, unwanted, of the wrong shape, not finite, or a label out of range.
        """
        kind, size, own = self.network.condition, self.network.condition_size, tags.of(self)
        condition = own.whole(condition, n)
        if kind is None:
            if condition is not None:
                raise ConfigError("this model is unconditional, but got a condition")
            return None
        if condition is None:
            raise given.missing(kind, size, self.statistics)
        if kind == "label":
            seen = classes_seen(self.record, size) if own.count == 1 else range(size)
            return given.labels(condition, n, size, seen).to(self.device)
        found = given.checked(condition, n, self.network, self.shape, self.statistics, self.dtype)
        return found.to(self.device)

    def standardised(self, condition: Tensor) -> Tensor:
        """Vectors or maps in their own units as the network is given them; labels as they are."""
        return given.standardised(condition, self.network, self.statistics, self.dtype)

    def log_prob_map(self, images: Any, condition: Any = None) -> Tensor:
        """Log-probability of every sub-pixel given its past, in nats, ``(n, c, h, w)``.

        Args:
            images: integer levels ``(n, c, h, w)``.
            condition: see :meth:`check_condition`.

        Raises:
            DataError, ModelError, ConfigError: see :meth:`check` and :meth:`check_condition`.
        """
        levels = self.check(images)
        parameters = self(levels, self.check_condition(condition, len(levels)))
        return self.output.log_prob(parameters, levels)

    def log_prob(self, images: Any, condition: Any = None) -> Tensor:
        """Log-probability of every image, in nats, ``(n,)``; arguments as :meth:`log_prob_map`."""
        return self.log_prob_map(images, condition).sum((1, 2, 3))
