"""The program in torch, a position at a time, on any device."""

from pixelcnn.engines.cached.walker import CachedEngine

__all__ = ["CachedEngine"]
