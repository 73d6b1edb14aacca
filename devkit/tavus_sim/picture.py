#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A face, drawn once for each look it can have."""

from typing import Any

import numpy as np

MOUTHS = 6
_SCALE = 2  # drawn larger, so that edges come out smooth
_BACKGROUND = (38, 50, 72)
_SHIRT = (70, 110, 150)
_HAIR = (66, 44, 34)
_SKIN = (236, 190, 160)
_WHITE = (250, 250, 250)
_IRIS = (60, 40, 30)
_LIPS = (178, 84, 84)
_MOUTH = (90, 30, 36)
# Of the badge: rows of five, the highest bit is left.
_LETTERS = {
    "A": (14, 17, 31, 17, 17),
    "I": (14, 4, 4, 4, 14),
    "L": (16, 16, 16, 16, 31),
    "M": (17, 27, 21, 17, 17),
    "N": (17, 25, 21, 19, 17),
    "O": (14, 17, 17, 17, 14),
    "S": (15, 16, 14, 1, 30),
    "T": (31, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 14),
}
_BADGE = "SIMULATION"

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def picture(width: int, height: int, mouth: int, blink: bool) -> Pixels:
    """The face.

    Args:
        width: in pixels.
        height: in pixels.
        mouth: how far it is open, 0 to ``MOUTHS`` - 1.
        blink: whether the eyes are closed.

    Returns:
        RGBA, of shape ``(height, width, 4)``.
    """
    canvas = _Canvas(width * _SCALE, height * _SCALE)
    canvas.ellipse(0, 1.15, 0.62, 0.42, _SHIRT)
    canvas.ellipse(0, -0.08, 0.47, 0.62, _HAIR)
    canvas.ellipse(0, 0.55, 0.16, 0.3, _SKIN)
    canvas.ellipse(0, 0.04, 0.38, 0.52, _SKIN)
    canvas.ellipse(0, -0.42, 0.36, 0.2, _HAIR)
    for side in (-0.16, 0.16):
        canvas.ellipse(side, -0.18, 0.09, 0.018, _HAIR)
        if blink:
            canvas.ellipse(side, -0.06, 0.075, 0.012, _HAIR)
        else:
            canvas.ellipse(side, -0.06, 0.075, 0.05, _WHITE)
            canvas.ellipse(side, -0.06, 0.036, 0.042, _IRIS)
    canvas.ellipse(0, 0.1, 0.03, 0.05, (214, 160, 132))
    opening = 0.015 + 0.1 * mouth / (MOUTHS - 1)
    canvas.ellipse(0, 0.3, 0.13, opening + 0.02, _LIPS)
    canvas.ellipse(0, 0.3, 0.105, max(opening - 0.01, 0.004), _MOUTH)
    image = canvas.smooth()
    _badge(image)
    return np.dstack([image, np.full((height, width), 255, np.uint8)])


class _Canvas:
    """Coordinates are halves of the height, from the middle."""

    def __init__(self, width: int, height: int) -> None:
        self._unit = height / 2
        self._middle = (width / 2, height / 2)
        self._pixels = np.full((height, width, 3), _BACKGROUND, np.uint8)

    def ellipse(
        self,
        x: float,
        y: float,
        half_width: float,
        half_height: float,
        color: tuple[int, int, int],
    ) -> None:
        left, right = self._span(0, x, half_width)
        top, bottom = self._span(1, y, half_height)
        # Only where it is: drawing is slow on whole pictures.
        rows, columns = np.ogrid[top:bottom, left:right]
        across = (columns - self._middle[0]) / self._unit - x
        along = (rows - self._middle[1]) / self._unit - y
        inside = (across / half_width) ** 2 + (along / half_height) ** 2 <= 1
        self._pixels[top:bottom, left:right][inside] = color

    def _span(self, axis: int, at: float, half: float) -> tuple[int, int]:
        middle, size = self._middle[axis], self._pixels.shape[1 - axis]
        first = int(middle + (at - half) * self._unit)
        last = int(middle + (at + half) * self._unit) + 2
        return max(first, 0), min(last, size)

    def smooth(self) -> Pixels:
        height, width, _ = self._pixels.shape
        small = (height // _SCALE, _SCALE, width // _SCALE, _SCALE, 3)
        sums = self._pixels.reshape(small).sum(axis=(1, 3), dtype=np.uint16)
        return (sums // _SCALE**2).astype(np.uint8)


def _badge(image: Pixels) -> None:
    dot = max(1, image.shape[0] // 180)
    left = top = 4 * dot
    for letter in _BADGE:
        rows = [
            [row >> bit & 1 for bit in (4, 3, 2, 1, 0)]
            for row in _LETTERS[letter]
        ]
        mask = np.kron(np.array(rows), np.ones((dot, dot))).astype(bool)
        area = image[top : top + 5 * dot, left : left + 5 * dot]
        # The smallest picture has no room for all of it.
        area[mask[: area.shape[0], : area.shape[1]]] = _WHITE
        left += 6 * dot
