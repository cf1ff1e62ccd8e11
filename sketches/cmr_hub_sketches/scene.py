"""The content of a picture, from which both the drawing and the sentences are made."""

from __future__ import annotations

from dataclasses import dataclass

from cmr_hub.types import JSONObject


@dataclass(frozen=True)
class Place:
    """The position of an object.

    Attributes:
        x, y: middle of its lower edge, in a picture of 320 × 240.
        scale: picture units per centimetre.
        mirrored: whether the object faces left.
        seed: random seed of the details that no sentence names.
    """

    x: float
    y: float
    scale: float
    mirrored: bool
    seed: int


@dataclass(frozen=True)
class Group:
    """Objects of one kind and pose.

    Attributes:
        kind: a class or a secondary object.
        pose: one of the kind's poses.
        places: the position of each object.
        colours: the colour of each object; empty if the kind has no colours.
        relation: position of the group: "main", "left", "right", "behind" (of the main group),
            "sky", "back", "front", "wall", "floor" or "table".
    """

    kind: str
    pose: str
    places: tuple[Place, ...]
    colours: tuple[str, ...]
    relation: str

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.places)


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn.

    Attributes:
        seed: random seed of the scene.
        main: main objects; their kind is the class of the picture.
        companion: objects of another class next to or behind the main objects.
        props: secondary objects.
        setting: name of the setting.
        stance: what the main objects are on: "ground", "road", "track", "water", "air" or "table".
        wall: colour of the walls; None outdoors.
        time: "day", "sunset" or "night".
        weather: None indoors.
        size: size of the main objects in the picture: "small", "medium" or "large".
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
        """Class of the picture."""
        return self.main.kind

    @property
    def groups(self) -> tuple[Group, ...]:
        """The main group, the companion if there is one, and the secondary objects."""
        companion = () if self.companion is None else (self.companion,)
        return (self.main, *companion, *self.props)

    def truth(self) -> JSONObject:
        """Return the facts that a sentence may state, as JSON values."""
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
