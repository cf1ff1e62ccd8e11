"""Kinds of objects, with their sizes, colours, poses and drawing functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from cmr_hub_sketches.colours import RGB
from cmr_hub_sketches.kit import Art


@dataclass(frozen=True)
class Look:
    """The appearance of an object.

    Attributes:
        colour: colour that sentences name.
        patch: second colour of a patched coat, if any.
        pose: one of the kind's poses.
        night: whether lamps and windows are lit.
        dice: random generator of the details that no sentence names.
    """

    colour: RGB
    patch: RGB | None
    pose: str
    night: bool
    dice: Random


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    An object is drawn in centimetres, facing right, with the ground at y = 0, centred on x = 0.

    Attributes:
        name: name of the class.
        draw: function that draws an object.
        poses: (width, height) in centimetres of each pose.
        colours: possible colours.
    """

    name: str
    draw: Callable[[Art, Look], None]
    poses: Mapping[str, tuple[float, float]]
    colours: tuple[str, ...]
