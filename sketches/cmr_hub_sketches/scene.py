"""What is to be seen in a picture: the one truth that drawing and sentences both follow."""

from __future__ import annotations

from dataclasses import dataclass

from cmr_hub.types import JSONObject


@dataclass(frozen=True)
class Place:
    """Where one thing stands.

    Attributes:
        x, y: the middle of its foot in a picture of 320 × 240.
        scale: picture units a centimetre.
        mirrored: it faces left.
        seed: of the details that no sentence names.
    """

    x: float
    y: float
    scale: float
    mirrored: bool
    seed: int


@dataclass(frozen=True)
class Group:
    """Things of one kind and pose.

    Attributes:
        kind: a class or a secondary object.
        pose: one of the kind's poses.
        places: one for each thing.
        colours: one for each thing; empty where the kind has no colour of its own.
        relation: where the group is: "main", "left", "right", "behind" (of the main group),
            "sky", "back", "front", "wall", "floor" or "table".
    """

    kind: str
    pose: str
    places: tuple[Place, ...]
    colours: tuple[str, ...]
    relation: str

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.places)


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn.

    Attributes:
        seed: what it was made from.
        main: what the picture is about; its kind is the picture's class.
        companion: things of another class beside or behind the main ones.
        props: secondary objects.
        setting: the place.
        stance: what the main things are on: "ground", "road", "track", "water", "air" or "table".
        wall: the colour of the walls; None outdoors.
        time: "day", "sunset" or "night".
        weather: None indoors.
        size: of the main things in the picture: "small", "medium" or "large".
    """

    seed: int
    main: Group
    companion: Group | None
    props: tuple[Group, ...]
    setting: str
    stance: str
    wall: str | None
    time: str
    weather: str | None
    size: str

    @property
    def label(self) -> str:
        """The picture's class."""
        return self.main.kind

    @property
    def groups(self) -> tuple[Group, ...]:
        """The main group, the companion if there is one, and the secondary objects."""
        companion = () if self.companion is None else (self.companion,)
        return (self.main, *companion, *self.props)

    def truth(self) -> JSONObject:
        """What a sentence may say, ready for JSON. Two scenes with the same truth look alike."""
        return {
            "setting": self.setting,
            "on": self.stance,
            "walls": self.wall,
            "time": self.time,
            "weather": self.weather,
            "size": self.size,
            "objects": [
                {
                    "name": group.kind,
                    "pose": group.pose,
                    "count": group.count,
                    "colours": sorted(group.colours),
                    "relation": group.relation,
                }
                for group in self.groups
            ],
        }
