"""What an output promises, one check for each promise."""

import dataclasses
import json

from pixelcnn.config import arguments, from_config, to_config
from pixelcnn.errors import ConfigError, ConformanceError
from pixelcnn.outputs import OUTPUTS, Output
from pixelcnn.text import counted
from pixelcnn.verify.probability import (
    check_agreement,
    check_extremes,
    check_locality,
    check_sums,
)
from pixelcnn.verify.report import Check

LEVEL_COUNTS = (2, 3, 17, 256)
"""Level counts tried beside the output's own, where it accepts them."""


class OutputChecks:
    """The promises of one output for one number of channels.

    Args:
        output: the output.
        channels: image channels.
    """

    def __init__(self, output: Output, channels: int) -> None:
        self.output, self.channels = output, channels

    def all(self) -> list[Check]:
        """Every promise."""
        return [
            Check("its fields rebuild it", self.rebuilds),
            Check("probabilities sum to one", self.sums),
            Check("pmf and log-probability agree", self.agreement),
            Check("a sub-pixel is decided by its own pixel and earlier channels", self.locality),
            Check("large parameters stay finite", self.extremes),
        ]

    def variants(self) -> list[Output]:
        """The output at its own level count, and at others."""
        found = [self.output]
        for levels in LEVEL_COUNTS:
            try:
                found.append(dataclasses.replace(self.output, levels=levels))  # type: ignore[type-var]
            except (ConfigError, TypeError, ValueError):
                continue
        return list(dict.fromkeys(found))

    def rebuilds(self) -> str:
        """Fields are the configuration."""
        kind = type(self.output)
        registered = any(OUTPUTS[name] is kind for name in OUTPUTS)
        values = {name: getattr(self.output, name) for name in arguments(kind)}
        if registered:
            twin = from_config(OUTPUTS, json.loads(json.dumps(to_config(OUTPUTS, self.output))))
        else:
            twin = kind(**json.loads(json.dumps(values)))
        if twin != self.output:
            raise ConformanceError(f"its fields build another output: {twin}, not {self.output}")
        where = "" if registered else "; not registered, so not saved by name"
        return counted(len(values), "field") + where

    def sums(self) -> str:
        """At every level count."""
        tried = self.variants()
        worst = max(check_sums(output, self.channels) for output in tried)
        return f"at {counts(tried)} levels, up to {worst:.0e}"

    def agreement(self) -> str:
        """One sub-pixel at a time, and all in parallel."""
        tried = self.variants()
        worst = max(check_agreement(output, self.channels) for output in tried)
        return f"at {counts(tried)} levels, up to {worst:.0e}"

    def locality(self) -> str:
        """Not by another pixel, nor by a later channel."""
        check_locality(self.output, self.channels)
        return f"{counted(self.channels, 'channel')}, in float64, to the bit"

    def extremes(self) -> str:
        """In float32."""
        check_extremes(self.output, self.channels)
        return "parameters of size 30 and 1000 in float32"


def counts(tried: list[Output]) -> str:
    """Level counts in words.

    Example:
        >>> from pixelcnn.outputs import Categorical
        >>> counts([Categorical(levels=n) for n in (8, 2, 3)])
        '2, 3 and 8'
    """
    *most, last = [str(n) for n in sorted({output.levels for output in tried})]
    return f"{', '.join(most)} and {last}" if most else last
