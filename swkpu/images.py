"""Images as model inputs: scaled, cropped and normalised as ImageNet classifiers expect them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from swkpu.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)
CROP = 224 / 256
"""The share of the scaled image's shorter side that is kept."""

Array = np.ndarray[Any, np.dtype[Any]]


def load_image(path: Path, shape: tuple[int, ...]) -> Array:
    """An image file as a float32 (1, 3, height, width) array of the given shape.

    As torchvision's ImageNet transforms do: scale (bilinear) so that the crop covers 224/256 of the shorter side, cut
    the middle out, normalise each channel. Raises InputError.
    """
    if len(shape) != 4 or shape[:2] != (1, 3):
        raise InputError(f"{path} is an image, which fits an input of shape (1, 3, height, width); this one is {shape}")
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError(f"reading {path} needs Pillow: pip install pillow") from None
    height, width = shape[2:]
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except Exception as error:  # OSError, SyntaxError, ValueError, DecompressionBombError: one per broken format
        raise InputError(f"cannot read image {path}: {error}") from None
    scale = max(height / picture.height, width / picture.width) / CROP
    size = (max(round(picture.width * scale), width), max(round(picture.height * scale), height))
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    pixels = np.asarray(picture.crop((left, top, left + width, top + height)), dtype=np.float32) / 255
    normalised = (pixels - MEAN) / STD
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])
