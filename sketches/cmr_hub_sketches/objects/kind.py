"""What every object of the sketched world is: sizes, colours, poses, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from cmr_hub_sketches.colours import RGB
from cmr_hub_sketches.kit import Art


@dataclass(frozen=True)
class Look:
    """How one object of its kind looks.

    Attributes:
        colour: the colour that sentences name.
        patch: the second colour of a patched coat, if it has one.
        pose: one of the kind's poses.
        night: lamps and windows are lit.
        dice: decides on the details that no sentence names.
    """

    colour: RGB
    patch: RGB | None
    pose: str
    night: bool
    dice: Random


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    It is drawn in centimetres, facing right, with the ground at y = 0 and the middle at x = 0.

    Attributes:
        name: the class's name.
        draw: draws one.
        poses: (width, height) in centimetres of each pose.
        colours: the colours that it comes in.
    """

    name: str
    draw: Callable[[Art, Look], None]
    poses: Mapping[str, tuple[float, float]]
    colours: tuple[str, ...]
