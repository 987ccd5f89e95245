"""The program on a GPU: what is computed for a position and for a row is captured once and replayed."""

from pixelcnn.engines.cuda.engine import CudaEngine, obstacle

__all__ = ["CudaEngine", "obstacle"]
