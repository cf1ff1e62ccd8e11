"""Named colours, and the effect of light on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

RGB: TypeAlias = tuple[int, int, int]
"""Red, green and blue in 0..255."""

Tone: TypeAlias = Callable[[RGB], RGB]
"""A function that applies the light of a scene to a colour."""

COLOURS: dict[str, RGB] = {
    "red": (212, 46, 48),
    "orange": (240, 130, 38),
    "yellow": (248, 204, 60),
    "green": (62, 160, 84),
    "blue": (44, 108, 200),
    "purple": (132, 78, 178),
    "pink": (240, 132, 172),
    "brown": (138, 88, 54),
    "black": (48, 48, 54),
    "white": (246, 245, 240),
    "grey": (142, 148, 154),
}
"""Colours that sentences name."""

FUR: dict[str, RGB] = COLOURS | {
    "orange": (224, 138, 62),
    "brown": (134, 84, 50),
    "golden": (222, 172, 96),
    "grey": (140, 144, 150),
    "black": (52, 50, 54),
}
"""Colours of fur, by the same names."""

INK: RGB = (38, 40, 48)
STEEL: RGB = (176, 184, 194)
GLASS: RGB = (176, 214, 232)
LAMP: RGB = (255, 226, 140)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Mix two colours; `share` is the share of the second one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def lighter(colour: RGB, share: float) -> RGB:
    """Mix a colour with white."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: RGB, share: float) -> RGB:
    """Mix a colour with a bluish black, like a shadow."""
    return mix(colour, (18, 20, 34), share)


def lit_by(light: tuple[float, float, float], haze: RGB = (0, 0, 0), share: float = 0) -> Tone:
    """Return the tone of a light with these shares of red, green and blue, behind some haze."""

    def tone(colour: RGB) -> RGB:
        red, green, blue = (
            min(255, round(value * part)) for value, part in zip(colour, light, strict=True)
        )
        return mix((red, green, blue), haze, share)

    return tone
