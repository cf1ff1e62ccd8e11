"""Settings by name."""

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
    """An outdoor setting.

    Attributes:
        draw: function that draws the setting.
        horizon: y of the horizon.
        ground: y below which objects can stand on the ground or float on water.
        weathers: possible weathers by day.
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
"""Outdoor settings."""

INDOORS: dict[str, Callable[[Art, Air, RGB], None]] = {
    "living room": indoors.living_room,
    "kitchen": indoors.kitchen,
    "office": indoors.office,
    "bedroom": indoors.bedroom,
}
"""Indoor settings."""

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
"""Colours of walls."""
