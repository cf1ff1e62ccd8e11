"""Occupied parts of a picture, and the objects that hide each other."""

from __future__ import annotations

from dataclasses import dataclass

from cmr_hub_sketches.scene import Place

_SAMPLES = 6


@dataclass(frozen=True)
class Box:
    """The area that an object covers; a box with a lower bottom edge is nearer and hides others."""

    left: float
    top: float
    right: float
    bottom: float


def box_of(size: tuple[float, float], place: Place) -> Box:
    """Return the box of an object of this width and height in centimetres."""
    half = size[0] * place.scale / 2
    return Box(place.x - half, place.y - size[1] * place.scale, place.x + half, place.y)


class Room:
    """The boxes of all placed objects."""

    def __init__(self) -> None:
        self._boxes: list[Box] = []

    def fill(self, box: Box) -> None:
        """Add the box of an object."""
        self._boxes.append(box)

    def hull(self) -> Box:
        """Return the bounding box of all objects."""
        return Box(
            min(box.left for box in self._boxes),
            min(box.top for box in self._boxes),
            max(box.right for box in self._boxes),
            max(box.bottom for box in self._boxes),
        )

    def seen(self, box: Box) -> float:
        """Return the share of a new box that no nearer object hides."""
        hiding = [other for other in self._boxes if other.bottom > box.bottom]
        seen = 0
        for row in range(_SAMPLES):
            y = box.top + (box.bottom - box.top) * (row + 0.5) / _SAMPLES
            for column in range(_SAMPLES):
                x = box.left + (box.right - box.left) * (column + 0.5) / _SAMPLES
                seen += not any(o.left < x < o.right and o.top < y < o.bottom for o in hiding)
        return seen / _SAMPLES**2

    def hidden_by(self, box: Box) -> float:
        """Return the largest share of an object further back that a new box hides."""
        behind = (other for other in self._boxes if other.bottom <= box.bottom)
        return max((_covered(other, box) for other in behind), default=0.0)

    def touched_by(self, box: Box) -> float:
        """Return the largest share of a new box that overlaps with an object."""
        return max((_covered(box, other) for other in self._boxes), default=0.0)


def _covered(box: Box, by: Box) -> float:
    """Return the share of a box that another box covers."""
    across = min(box.right, by.right) - max(box.left, by.left)
    down = min(box.bottom, by.bottom) - max(box.top, by.top)
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / ((box.right - box.left) * (box.bottom - box.top))
