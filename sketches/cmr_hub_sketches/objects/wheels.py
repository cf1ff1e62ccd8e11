"""Wheels of cars and of cycles."""

from __future__ import annotations

import math

from cmr_hub_sketches.colours import INK, RGB, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art

TYRE = (40, 41, 46)


def car_wheel(art: Art, x: float, radius: float) -> None:
    """Draw a tyre with a bright rim, on the ground at x."""
    y = -radius
    art.oval(x, y, radius, fill=TYRE, line=INK, width=2)
    art.oval(x, y, radius * 0.66, fill=art.ball(STEEL))
    for spoke in range(5):
        angle = math.tau * (spoke / 5 + 0.05)
        tip = (x + radius * 0.56 * math.cos(angle), y + radius * 0.56 * math.sin(angle))
        art.stroke([(x, y), tip], darker(STEEL, 0.45), radius * 0.13)
    art.oval(x, y, radius * 0.2, fill=lighter(STEEL, 0.3), line=darker(STEEL, 0.5), width=2)


def spoked_wheel(art: Art, x: float, radius: float, tyre: float, rim: RGB = STEEL) -> None:
    """Draw a cycle's wheel with thin spokes; `tyre` is the thickness of the tyre."""
    y = -radius
    for spoke in range(8):
        angle = math.pi * spoke / 8
        reach = radius - tyre
        dx, dy = reach * math.cos(angle), reach * math.sin(angle)
        art.stroke([(x - dx, y - dy), (x + dx, y + dy)], darker(STEEL, 0.15), 0.8)
    art.oval(x, y, radius - tyre / 2, fill=None, line=TYRE, width=tyre)
    art.oval(x, y, radius - tyre * 1.2, fill=None, line=rim, width=tyre * 0.5)
    art.oval(x, y, tyre * 1.1, fill=darker(STEEL, 0.4))
