"""Fixtures shared by the tests of the data package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Writer = Callable[..., Path]


@pytest.fixture
def write_image(tmp_path: Path) -> Writer:
    """Writes an image below ``tmp_path``: noise of a mode and size, or the given pixels."""

    def write(
        name: str, mode: str = "L", size: Any = (6, 5), pixels: Any = None, **options: Any
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels is None:
            height, width = size
            noise = np.random.default_rng(len(name)).integers(0, 256, (height, width, 4), np.uint8)
            image = Image.fromarray(noise, "RGBA").convert("RGB").convert(mode)
        else:
            image = Image.fromarray(np.asarray(pixels))
        image.save(path, **options)
        return path

    return write
