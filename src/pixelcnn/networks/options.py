"""The arguments that several networks share: what each of them takes, said once."""

from typing import Annotated, Literal

from pixelcnn.annotations import Range
from pixelcnn.layers import Activation, Condition
from pixelcnn.shapes import MAX_CHANNELS, MAX_LEVELS

__all__ = ["Activation", "Condition"]

Channels = Annotated[int, Range(1, MAX_CHANNELS)]
Out = Annotated[int, Range(1, MAX_CHANNELS * MAX_LEVELS)]
Width = Annotated[int, Range(1, 16_384)]
Depth = Annotated[int, Range(1, 1_000)]
Side = Annotated[int, Range(3, 63, odd=True)]
Order = Literal["channel", "pixel"]
Layout = Literal["interleaved", "contiguous"]
Count = Annotated[int, Range(0, MAX_LEVELS)]
Embedding = Annotated[int, Range(0, 16_384)]
Probability = Annotated[float, Range(0, 1, below=True)]
