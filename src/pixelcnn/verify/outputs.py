"""What an output promises, one check for each promise."""

import dataclasses
from collections.abc import Callable

import torch

from pixelcnn.errors import ConfigError, ConformanceError, ModelError
from pixelcnn.outputs import OUTPUTS, Output
from pixelcnn.shapes import image_shape
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.verify.probability import (
    check_agreement,
    check_extremes,
    check_locality,
    check_sums,
)
from pixelcnn.verify.probing import rebuilt
from pixelcnn.verify.report import Check, Progress, Report, run

LEVEL_COUNTS = (2, 3, 17, 256)
"""Level counts tried beside the output's own, where it accepts them."""
LOCAL = "a sub-pixel is decided by its own pixel and earlier channels"


def output_checks(output: Output, channels: int) -> list[Check]:
    """Every promise of an output, for one number of channels."""
    return [
        Check("its fields rebuild it", lambda: rebuilds(output)),
        Check("probabilities sum to one", lambda: at_all_levels(check_sums, output, channels)),
        Check(
            "pmf and log-probability agree",
            lambda: at_all_levels(check_agreement, output, channels),
        ),
        Check(LOCAL, lambda: check_locality(output, channels)),
        Check("large parameters stay finite", lambda: check_extremes(output, channels)),
    ]


def rebuilds(output: Output) -> str:
    """Fields are the configuration."""
    twin, arguments = rebuilt(OUTPUTS, output)
    if twin != output:
        raise ConformanceError(f"its fields build another output: {twin}, not {output}")
    return arguments


def at_all_levels(check: Callable[[Output, int], float], output: Output, channels: int) -> str:
    """The largest error of an output at its own level count and at others."""
    tried = {output.levels: output}
    for levels in LEVEL_COUNTS:
        try:
            tried.setdefault(levels, dataclasses.replace(output, levels=levels))  # type: ignore[type-var]
        except (ConfigError, TypeError, ValueError):
            continue
    worst = max(check(each, channels) for each in tried.values())
    return f"at {', '.join(map(str, sorted(tried)))} levels, up to {worst:.0e}"


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
    subject = f"output {output} for {counted(channels, 'channel')}"
    return run(subject, output_checks(output, channels), progress)
