"""Lossless compression to a model's own bit count, in whole numbers, so that it is the same on every machine.

A :class:`~pixelcnn.codec.twin.Twin` is a model's program in integers; its parameters become
:class:`~pixelcnn.codec.frequencies.Frequencies`, with which constriction's range coder codes the levels, and
:mod:`~pixelcnn.codec.container` wraps the words into a file.
"""

from pixelcnn.codec.calibration import calibrate
from pixelcnn.codec.compression import compress, decompress
from pixelcnn.codec.fixed import Precision
from pixelcnn.codec.twin import Twin

__all__ = ["Precision", "Twin", "calibrate", "compress", "decompress"]
