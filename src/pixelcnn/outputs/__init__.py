"""Outputs: families of distributions over integer levels."""

from pixelcnn.outputs.base import OUTPUTS, Output
from pixelcnn.outputs.bernoulli import Bernoulli
from pixelcnn.outputs.categorical import Categorical
from pixelcnn.outputs.logistic_mixture import LogisticMixture

__all__ = ["OUTPUTS", "Bernoulli", "Categorical", "LogisticMixture", "Output"]
