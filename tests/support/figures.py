"""What every figure of the report must be."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from ltrec.reporting.plots.style import DARK, LIGHT, Image


def refuse_blank(image: Image) -> None:
    """Two PNGs of the stated size, each on its paper and with something on it."""
    for png, theme in ((image.light, LIGHT), (image.dark, DARK)):
        pixels = imread(io.BytesIO(png))
        assert pixels.shape[:2] == (image.height, image.width)
        np.testing.assert_allclose(pixels[0, 0, :3], to_rgb(theme.paper), atol=1 / 255)
        assert np.ptp(pixels[..., :3], axis=(0, 1)).max() > 0.5, "nothing was drawn"
    assert image.alt.endswith(".")
    assert image.caption.endswith(".")
