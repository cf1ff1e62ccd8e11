"""The places by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cmr_hub_sketches.colours import RGB
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.settings import indoors, outdoors
from cmr_hub_sketches.settings.air import Air

__all__ = ["INDOORS", "OUTDOORS", "SETTINGS", "WALLS", "Outdoors"]


@dataclass(frozen=True)
class Outdoors:
    """A place under the sky.

    Attributes:
        draw: draws it.
        horizon: the height of the viewer's eyes.
        ground: from here down there is ground, or water, to stand or float on.
        weathers: those it has by day.
    """

    draw: Callable[[Art, Air], None]
    horizon: float
    ground: float
    weathers: tuple[str, ...] = ("sunny", "cloudy", "rainy", "foggy")


_DRY = ("sunny", "cloudy")

OUTDOORS: dict[str, Outdoors] = {
    "sky": Outdoors(outdoors.high_sky, 240, 240, ("sunny", "cloudy", "rainy")),
    "sea": Outdoors(outdoors.sea, 106, 111),
    "lake": Outdoors(outdoors.lake, 112, 124),
    "beach": Outdoors(outdoors.beach, 90, 162, ("sunny", "cloudy", "rainy")),
    "meadow": Outdoors(outdoors.meadow, 116, 132),
    "hills": Outdoors(outdoors.hills, 112, 136),
    "mountains": Outdoors(outdoors.mountains, 116, 136),
    "forest": Outdoors(outdoors.forest, 110, 138),
    "desert": Outdoors(outdoors.desert, 112, 146, _DRY),
    "snow": Outdoors(outdoors.snow, 108, 130, ("sunny", "cloudy", "snowy", "foggy")),
    "street": Outdoors(outdoors.street, 108, 166),
    "park": Outdoors(outdoors.park, 112, 134),
    "farm": Outdoors(outdoors.farm, 108, 160),
    "airport": Outdoors(outdoors.airport, 112, 142),
}
"""Outdoor places."""

INDOORS: dict[str, Callable[[Art, Air, RGB], None]] = {
    "living room": indoors.living_room,
    "kitchen": indoors.kitchen,
    "office": indoors.office,
    "bedroom": indoors.bedroom,
}
"""Rooms."""

SETTINGS = (*OUTDOORS, *INDOORS)

WALLS: dict[str, RGB] = {
    "white": (240, 238, 232),
    "yellow": (248, 222, 140),
    "green": (172, 208, 166),
    "blue": (158, 196, 226),
    "pink": (244, 194, 204),
    "grey": (190, 196, 204),
    "orange": (246, 190, 140),
}
"""The colours that walls are painted in."""
