"""Plausible places, companions and secondary objects of each class."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spot:
    """A possible place of a class, what it stands on, and its poses there ("" is any pose)."""

    setting: str
    stance: str = "ground"
    poses: tuple[str, ...] = ("",)


def _spots(settings: str, stance: str = "ground", *poses: str) -> tuple[Spot, ...]:
    return tuple(Spot(setting.strip(), stance, poses or ("",)) for setting in settings.split(","))


_RAIL = "hills, meadow, mountains, forest, snow, desert"

SPOTS: dict[str, tuple[Spot, ...]] = {
    "aeroplane": (
        *_spots(
            "sky, sky, sea, mountains, hills, desert", "air", "airliner flying", "propeller flying"
        ),
        *_spots("airport, airport", "ground", "airliner", "propeller"),
    ),
    "bicycle": _spots("street, park, beach, forest, meadow, hills, farm"),
    "bird": (
        *_spots("sky, sea, mountains, hills", "air", "flying"),
        *_spots("park, snow, beach, meadow, forest", "ground", "standing"),
        *_spots("lake", "water", "swimming"),
    ),
    "boat": _spots("sea, sea, lake, lake", "water"),
    "bottle": _spots("kitchen, living room, office, bedroom, meadow, beach, park", "table"),
    "bus": (
        *_spots("street", "road"),
        *_spots("hills, mountains, forest, desert, meadow, snow", "road"),
    ),
    "car": (
        *_spots("street, hills, mountains, forest, desert, snow", "road"),
        *_spots("beach, meadow", "ground"),
    ),
    "cat": _spots("living room, kitchen, bedroom, office, street, park, farm, snow, meadow"),
    "chair": (
        *_spots("living room, kitchen, bedroom, park, beach, meadow", "ground", "wooden"),
        *_spots("office, bedroom", "ground", "office"),
    ),
    "cow": (
        *_spots("meadow, hills, farm, mountains"),
        *_spots("beach, snow", "ground", "standing", "lying"),
    ),
    "dining table": _spots("living room, kitchen, park, meadow"),
    "dog": _spots("park, beach, snow, street, living room, meadow, forest, kitchen"),
    "horse": (
        *_spots("meadow, hills, farm, mountains"),
        *_spots("desert, beach, snow", "ground", "standing", "galloping"),
    ),
    "motorbike": (
        *_spots("street, hills, mountains, desert, forest", "road"),
        *_spots("beach, farm", "ground"),
    ),
    "person": _spots(
        "street, park, beach, snow, meadow, forest, mountains, desert, kitchen, living room, office"
    ),
    "potted plant": _spots("living room, office, bedroom, kitchen, street, park"),
    "sheep": (
        *_spots("meadow, hills, farm, mountains"),
        *_spots("snow, beach", "ground", "standing", "lying"),
    ),
    "sofa": _spots("living room, living room, bedroom, office"),
    "train": _spots(_RAIL, "track"),
    "tv monitor": (
        *_spots("living room, bedroom, kitchen", "table", "television", "old"),
        *_spots("office, bedroom, living room", "table", "monitor"),
    ),
}
"""The spots of each class; a repeated spot is twice as likely."""

MOST: dict[str, int] = {
    "train": 2,
    "sofa": 2,
    "dining table": 2,
    "bus": 3,
    "aeroplane": 3,
    "tv monitor": 3,
}
"""Maximum number of objects of a class in a picture, if it is below four."""

_ROOM = ("cat", "dog", "person", "chair", "potted plant")
COMPANIONS: dict[str, tuple[str, ...]] = {
    "street": ("person", "dog", "bicycle", "cat", "motorbike"),
    "park": ("person", "dog", "bicycle", "cat"),
    "beach": ("person", "dog", "horse"),
    "meadow": ("person", "dog", "sheep", "cow", "horse"),
    "hills": ("person", "dog", "sheep", "cow", "horse"),
    "mountains": ("person", "dog", "sheep", "cow", "horse"),
    "farm": ("person", "dog", "sheep", "cow", "horse", "cat"),
    "forest": ("person", "dog", "bicycle", "horse"),
    "desert": ("person", "horse", "dog"),
    "snow": ("person", "dog", "horse"),
    "airport": ("person", "bus", "car"),
    "sea": ("boat",),
    "lake": ("boat",),
    "living room": (*_ROOM, "sofa"),
    "kitchen": _ROOM,
    "office": _ROOM,
    "bedroom": _ROOM,
}
"""Possible classes of the companion, by setting."""

ROAD_COMPANIONS = ("person", "dog", "bicycle", "motorbike")
"""Possible classes of the companion at a road."""


@dataclass(frozen=True)
class Cue:
    """A secondary object with its position, its height in the picture and its maximum number."""

    prop: str
    relation: str
    height: tuple[float, float]
    most: int = 1


_SKY = (
    Cue("hot-air balloon", "sky", (36, 54), 3),
    Cue("kite", "sky", (34, 46), 2),
    Cue("rainbow", "sky", (68, 80)),
)
_FAR_HOUSE = Cue("house", "back", (40, 58), 3)
_TREES = Cue("tree", "back", (44, 72), 4)
_FLOWERS = Cue("flowers", "front", (15, 20), 3)
_ROCKS = Cue("rock", "front", (12, 20), 3)
_BUSH = Cue("bush", "back", (18, 28), 3)
_FENCE = Cue("fence", "back", (20, 26))
_WALL = (Cue("picture", "wall", (26, 34), 3), Cue("clock", "wall", (26, 32)))
_FLOOR = (
    Cue("floor lamp", "floor", (92, 108)),
    Cue("rug", "front", (26, 34)),
    Cue("bookshelf", "floor", (92, 108)),
)
TABLE_CUES = (
    Cue("mug", "table", (26, 32), 2),
    Cue("apples", "table", (30, 38)),
    Cue("books", "table", (22, 28)),
    Cue("glass", "table", (30, 38), 2),
    Cue("vase", "table", (52, 64)),
    Cue("table lamp", "table", (66, 80)),
)
"""Secondary objects next to the main object on a table."""

CUES: dict[str, tuple[Cue, ...]] = {
    "sky": _SKY[:2],
    "sea": (
        *_SKY[:1],
        _SKY[2],
        Cue("lighthouse", "back", (64, 84)),
        Cue("buoy", "front", (18, 26), 2),
    ),
    "lake": (*_SKY[:2], Cue("buoy", "front", (18, 26), 2)),
    "beach": (
        *_SKY,
        Cue("palm tree", "back", (76, 100), 3),
        Cue("parasol", "back", (44, 56), 3),
        Cue("ball", "front", (13, 18)),
        Cue("tent", "back", (24, 32), 2),
    ),
    "meadow": (
        *_SKY[:2],
        _TREES,
        _FLOWERS,
        _FENCE,
        _BUSH,
        _FAR_HOUSE,
        Cue("tent", "back", (26, 34), 2),
    ),
    "hills": (*_SKY[:2], _TREES, _FAR_HOUSE, Cue("windmill", "back", (62, 84), 2), _FENCE, _BUSH),
    "mountains": (
        *_SKY[:1],
        _FAR_HOUSE,
        Cue("tent", "back", (26, 34), 3),
        _ROCKS,
        Cue("fir tree", "back", (46, 70), 3),
    ),
    "forest": (
        Cue("tent", "back", (26, 34), 2),
        _ROCKS,
        _FLOWERS,
        _BUSH,
        Cue("bench", "back", (20, 26)),
    ),
    "desert": (
        _SKY[0],
        Cue("cactus", "back", (44, 66), 3),
        _ROCKS,
        Cue("tent", "back", (26, 34), 2),
    ),
    "snow": (
        Cue("snowman", "back", (36, 50), 2),
        _FAR_HOUSE,
        Cue("fir tree", "back", (46, 70), 3),
        _FENCE,
    ),
    "street": (
        Cue("street lamp", "kerb", (84, 104), 3),
        Cue("tree", "kerb", (58, 78), 3),
        Cue("bench", "kerb", (20, 26)),
        Cue("bin", "kerb", (20, 25)),
        _SKY[0],
    ),
    "park": (
        Cue("bench", "back", (22, 30), 2),
        Cue("street lamp", "back", (72, 94), 2),
        _FLOWERS,
        _TREES,
        *_SKY[:2],
        Cue("ball", "front", (13, 18)),
    ),
    "farm": (
        Cue("haystack", "back", (26, 38), 3),
        _TREES,
        Cue("windmill", "back", (62, 84)),
        _FLOWERS,
        _SKY[0],
    ),
    "airport": _SKY[:1],
    "living room": (*_WALL, *_FLOOR),
    "kitchen": (Cue("clock", "wall", (24, 28)), Cue("rug", "front", (24, 32))),
    "office": (*_WALL, _FLOOR[0], _FLOOR[1]),
    "bedroom": (_WALL[0], _FLOOR[0], _FLOOR[1]),
}
"""Secondary objects of each setting."""

FREE_WALL: dict[str, tuple[tuple[float, float, float], ...]] = {
    "living room": ((136, 82, 38), (246, 82, 62)),
    "kitchen": ((210, 52, 12), (113, 52, 11)),
    "office": ((160, 92, 36), (254, 128, 44)),
    "bedroom": ((62, 82, 50), (252, 82, 46)),
}
"""Free parts of the wall of each room: (middle, lower edge, half of the free width)."""
