"""Checks that anyone can run on their own networks, outputs and models."""

from pixelcnn.verify.agreement import walk_log_prob
from pixelcnn.verify.causality import Dependence, allowed_past, measure
from pixelcnn.verify.models import check_model
from pixelcnn.verify.networks import check_network
from pixelcnn.verify.outputs import check_output
from pixelcnn.verify.probability import total_probability
from pixelcnn.verify.probing import randomise
from pixelcnn.verify.receptive_field import ReceptiveField, receptive_field
from pixelcnn.verify.report import Report, Row

__all__ = [
    "Dependence",
    "ReceptiveField",
    "Report",
    "Row",
    "allowed_past",
    "check_model",
    "check_network",
    "check_output",
    "measure",
    "randomise",
    "receptive_field",
    "total_probability",
    "walk_log_prob",
]
