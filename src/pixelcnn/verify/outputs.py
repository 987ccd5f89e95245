"""What an output promises, one check for each promise."""

import dataclasses
from collections.abc import Callable

from pixelcnn.errors import ConfigError, ConformanceError
from pixelcnn.outputs import OUTPUTS, Output
from pixelcnn.verify.probability import (
    check_agreement,
    check_extremes,
    check_locality,
    check_sums,
)
from pixelcnn.verify.probing import rebuilt
from pixelcnn.verify.report import Check

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
