"""Compose a scene from a seed: choose its objects and place them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cmr_hub.errors import UnknownNameError
from cmr_hub_sketches.casting import (
    COMPANIONS,
    CUES,
    FREE_WALL,
    MOST,
    ROAD_COMPANIONS,
    SPOTS,
    TABLE_CUES,
    Cue,
    Spot,
)
from cmr_hub_sketches.objects import CLASSES, KINDS
from cmr_hub_sketches.objects.kind import Kind
from cmr_hub_sketches.props import PROPS
from cmr_hub_sketches.room import Box, Room, box_of
from cmr_hub_sketches.scene import Group, Place, Scene
from cmr_hub_sketches.settings import INDOORS, OUTDOORS, WALLS

SIZES = {"small": 0.74, "medium": 0.85, "large": 1.0}
"""Share of the available space that the main objects take."""
TABLE_TOP = 186
"""y of the far edge of a table in the foreground."""
_LEFT, _RIGHT, _TOP = 8.0, 312.0, 20.0
_INDOOR_HORIZON = 70.0
_INDOOR_GROUND = 166.0
_OFTEN = {"sunny": 3, "cloudy": 2, "rainy": 1.5, "snowy": 2.5, "foggy": 1}
_FACING = ("car", "bus", "train")
"""Classes that may come towards the viewer, drawn from the front."""


def make_scene(seed: int, label: str | None = None) -> Scene:
    """Return the scene of a seed, always the same one.

    Args:
        seed: a whole number of at least 0.
        label: one of `CLASSES`. Default: consecutive seeds cycle through all classes.

    Raises:
        UnknownNameError: there is no such class.
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"a seed must be 0 or more, not {seed}")
    if label is None:
        label = CLASSES[seed % len(CLASSES)]
    elif label not in CLASSES:
        raise UnknownNameError("class of sketches", label, list(CLASSES))
    # The standard library hashes text seeds in the same way on every platform.
    return _Composer(Random(f"sketch {seed} {label}"), seed, label).scene()


class _Composer:
    """Compose a scene, keeping track of the occupied space."""

    def __init__(self, dice: Random, seed: int, label: str) -> None:
        self.dice = dice
        self.seed = seed
        self.kind = KINDS[label]
        self.spot: Spot = dice.choice(SPOTS[label])
        self.room = Room()
        self.indoors = self.spot.setting in INDOORS
        if self.indoors:
            self.horizon, self.ground = _INDOOR_HORIZON, _INDOOR_GROUND
        else:
            place = OUTDOORS[self.spot.setting]
            self.horizon, self.ground = place.horizon, place.ground

    def scene(self) -> Scene:
        dice, spot = self.dice, self.spot
        time, weather = self._air()
        most = MOST.get(self.kind.name, 4)
        count = dice.choices(range(1, most + 1), (5, 3, 2, 2)[:most])[0]
        # Three or four small objects would be too small to recognise.
        size = dice.choice(list(SIZES)[count > 2 :])
        with_companion = dice.random() < 0.45
        main = self._main(count, size, beside=with_companion)
        companion = self._companion(main) if with_companion else None
        return Scene(
            seed=self.seed,
            main=main,
            companion=companion,
            props=self._props(time, weather),
            setting=spot.setting,
            stance=spot.stance,
            wall=dice.choice(list(WALLS)) if self.indoors else None,
            time=time,
            weather=weather,
            size=size,
        )

    def _air(self) -> tuple[str, str | None]:
        if self.indoors:
            return self.dice.choices(("day", "night"), (2, 1))[0], None
        known = OUTDOORS[self.spot.setting].weathers
        time = self.dice.choices(("day", "sunset", "night"), (6, 1.5, 2.5))[0]
        if time == "day":
            return time, self.dice.choices(known, [_OFTEN[weather] for weather in known])[0]
        wet = [weather for weather in known if weather in ("rainy", "snowy")]
        if time == "night" and wet and self.dice.random() < 0.35:
            return time, self.dice.choice(wet)
        return time, "clear"

    # The main things

    def _main(self, count: int, size: str, *, beside: bool) -> Group:
        dice, kind = self.dice, self.kind
        poses = [
            pose for pose in kind.poses if any(pose.startswith(start) for start in self.spot.poses)
        ]
        pose = dice.choice(poses)
        facing = kind.name in _FACING and pose == "front"
        if facing and self.spot.stance in ("road", "track"):
            count = 1  # the road has one lane
        spare = 84 if beside and self.spot.stance not in ("air", "table", "track") else 0
        if facing and self.spot.stance != "ground":
            spare = 0
        shift = dice.choice((-spare, spare))
        left, right = max(_LEFT, _LEFT + shift), min(_RIGHT, _RIGHT + shift)
        # A single object that fills the picture is too near; a row of four needs all of the space.
        share = SIZES[size] * (0.88, 0.96, 1.0, 1.0)[count - 1] * (0.86 if facing else 1.0)
        places = self._fit(kind, pose, count, left, right, share)
        return Group(kind.name, pose, places, self._colours(kind, count), "main")

    def _colours(self, kind: Kind, count: int) -> tuple[str, ...]:
        if not kind.colours:
            return ()
        first = self.dice.choice(kind.colours)
        if count == 2 and self.dice.random() < 0.25:
            return first, self.dice.choice([name for name in kind.colours if name != first])
        return (first,) * count

    def _fit(
        self, kind: Kind, pose: str, count: int, left: float, right: float, share: float
    ) -> tuple[Place, ...]:
        """Place objects as large as fits between left and right, times `share`."""
        dice, stance = self.dice, self.spot.stance
        width, height = kind.poses[pose]
        base = self._base(stance, pose)
        steps = _formation(count, width / height, stance)
        together = dice.random() < 0.5
        first = dice.random() < 0.5
        if stance in ("road", "track") and pose != "front":
            facing = [first != (depth > 0) for _, depth in steps]
        else:
            facing = [first if together else dice.random() < 0.5 for _ in steps]
        scale = 3000 / width
        while True:
            rows = []
            for along, depth in steps:
                y = self._depth(base, depth, height * scale)
                rows.append((along * width * scale, y, scale * self._shrink(y, base)))
            start = min(x - width * s / 2 for x, _, s in rows)
            end = max(x + width * s / 2 for x, _, s in rows)
            top = min(y - height * s for _, y, s in rows)
            if end - start <= (right - left) * share and top >= base - (base - _TOP) * share:
                break
            scale *= 0.96
        slack = (right - left) - (end - start)
        shift = left - start + slack * (0.5 if pose == "front" else dice.uniform(0.25, 0.75))
        if stance == "air":
            lift = dice.uniform(_TOP, max(_TOP, self._lowest() - (base - top))) - top
            rows = [(x, y + lift, s) for x, y, s in rows]
        places = tuple(
            Place(round(x + shift, 2), round(y, 2), round(s, 5), mirrored, dice.randrange(2**31))
            for (x, y, s), mirrored in zip(rows, facing, strict=True)
        )
        for place in places:
            self.room.fill(box_of((width, height), place))
        return places

    def _base(self, stance: str, pose: str) -> float:
        if stance == "road":
            return 226.0 if pose == "front" else 214.0
        if stance == "track":
            return 224.0 if pose == "front" else 206.0
        if stance == "table":
            return 214.0
        if stance == "air":
            return self._lowest()
        low, high = {"water": (190, 214)}.get(stance, (206, 226))
        return round(self.dice.uniform(low, high), 2)

    def _lowest(self) -> float:
        """Return the largest y of objects in the air."""
        return 200.0 if self.spot.setting == "sky" else self.horizon + 60

    def _depth(self, base: float, depth: float, height: float) -> float:
        """Return the lower edge of an object `depth` rows behind the first."""
        if depth == 0:
            return base
        step = {"road": 20.0, "track": 40.0, "table": 10.0}.get(self.spot.stance)
        if self.spot.stance == "air":
            return base - depth * height * 1.12
        if step is None:
            step = min(0.45 * height, 0.3 * (base - self.horizon))
        return base - depth * step

    def _shrink(self, y: float, base: float) -> float:
        """Return the scale of an object at y, relative to base, by perspective."""
        if self.spot.stance in ("air", "table"):
            return 1.0
        return (y - self.horizon) / (base - self.horizon)

    # What joins them

    def _companion(self, main: Group) -> Group | None:
        setting, stance = self.spot.setting, self.spot.stance
        known = ROAD_COMPANIONS if stance == "road" else COMPANIONS.get(setting, ())
        names = [name for name in known if name != main.kind]
        if stance in ("air", "table", "track") or (stance == "water") != (
            setting in ("sea", "lake")
        ):
            return None
        if setting == "lake" and main.kind == "bird":
            return None
        near = max(main.places, key=lambda place: place.y)
        for name in self.dice.sample(names, len(names)):
            kind = KINDS[name]
            poses = [pose for pose in kind.poses if _may_join(name, pose, setting)]
            pose = self.dice.choice(poses)
            colours = (self.dice.choice(kind.colours),)
            for relation in self.dice.sample(("left", "right", "behind"), 3):
                place = self._join(kind.poses[pose], relation, near)
                if place is not None:
                    return Group(name, pose, (place,), colours, relation)
        return None

    def _join(self, size: tuple[float, float], relation: str, near: Place) -> Place | None:
        """Return a place for another object in correct perspective, or None without space."""
        dice = self.dice
        group = self.room.hull()
        for _ in range(16):
            if relation == "behind":
                y = dice.uniform(self.ground, max(self.ground, near.y - 22))
            else:
                y = near.y + dice.uniform(-9, 3)
            scale = near.scale * (y - self.horizon) / (near.y - self.horizon)
            width, height = size[0] * scale, size[1] * scale
            if not (36 <= height <= min(150, y - 6) and 20 <= width <= 150):
                continue
            lowest, highest = _LEFT + width / 2, _RIGHT - width / 2
            if relation == "left":
                highest = min(highest, group.left + 6 - width / 2)
            elif relation == "right":
                lowest = max(lowest, group.right - 6 + width / 2)
            if lowest > highest:
                continue
            place = Place(
                round(dice.uniform(lowest, highest), 2),
                round(y, 2),
                round(scale, 5),
                dice.random() < 0.5,
                dice.randrange(2**31),
            )
            box = box_of(size, place)
            if self.room.seen(box) >= 0.7 and self.room.hidden_by(box) <= 0.12:
                self.room.fill(box)
                return place
        return None

    def _props(self, time: str, weather: str | None) -> tuple[Group, ...]:
        dice, setting = self.dice, self.spot.setting
        cues = list(CUES[setting])
        if self.spot.stance == "table":
            cues = [cue for cue in cues if cue.relation in ("wall", "sky", "back")] + list(
                TABLE_CUES
            )
        if self.spot.stance in ("road", "track"):
            cues = [cue for cue in cues if cue.relation != "front"]
        if self.spot.stance == "air":
            cues = [
                cue for cue in cues if cue.relation not in ("back", "front") or setting == "sea"
            ]
        if time != "day" or weather not in ("sunny", "rainy"):
            cues = [cue for cue in cues if cue.prop != "rainbow"]
        if weather in ("rainy", "snowy"):
            cues = [cue for cue in cues if cue.prop not in ("kite", "hot-air balloon")]
        groups: list[Group] = []
        wanted = dice.choices((0, 1, 2, 3), (1, 4, 5, 2))[0]
        for cue in dice.sample(cues, len(cues)):
            if len(groups) == wanted:
                break
            group = self._prop(cue)
            if group is not None:
                groups.append(group)
        return tuple(groups)

    def _prop(self, cue: Cue) -> Group | None:
        dice, kind = self.dice, PROPS[cue.prop]
        size = kind.poses[""]
        wanted = dice.choices(range(1, cue.most + 1), [0.5**step for step in range(cue.most)])[0]
        height = dice.uniform(*cue.height)
        places: list[Place] = []
        for _ in range(40):
            if len(places) == wanted:
                break
            place = self._prop_place(cue, size, height)
            if place is not None:
                places.append(place)
        if not places:
            return None
        colour = (dice.choice(kind.colours),) * len(places) if kind.colours else ()
        relation = "back" if cue.relation == "kerb" else cue.relation
        return Group(kind.name, "", tuple(places), colour, relation)

    def _prop_place(self, cue: Cue, size: tuple[float, float], height: float) -> Place | None:
        dice = self.dice
        scale = height / size[1] * dice.uniform(0.94, 1.06)
        half = size[0] * scale / 2
        if cue.relation == "wall":
            x, y, free = dice.choice(FREE_WALL[self.spot.setting])
            scale *= min(1.0, free / half)
            half = size[0] * scale / 2
            x += dice.uniform(half - free, free - half)
        else:
            x = dice.uniform(_LEFT + half, _RIGHT - half) if half < 150 else 160
            y = self._prop_foot(cue, height)
        place = Place(
            round(x, 2), round(y, 2), round(scale, 5), dice.random() < 0.5, dice.randrange(2**31)
        )
        return place if self._admits(cue, box_of(size, place)) else None

    def _admits(self, cue: Cue, box: Box) -> bool:
        """Return whether there is space for a secondary object, and occupy it."""
        room = self.room
        if cue.prop in ("rainbow", "rug"):  # other objects may stand in front of them
            return room.seen(box) >= 0.5
        if cue.relation in ("front", "table"):
            fits = room.touched_by(box) <= 0.04
        else:
            fits = room.seen(box) >= 0.72 and room.hidden_by(box) <= 0.1
        if fits:
            room.fill(box)
        return fits

    def _prop_foot(self, cue: Cue, height: float) -> float:
        """Return the lower edge of a secondary object."""
        sea = self.spot.setting == "sea"
        back = (self.ground, self.ground + (0 if sea else 20))
        if self.spot.stance in ("road", "track"):
            back = (min(self.ground, 160), 168)
        lowest = 180 if self.spot.setting == "sky" else self.horizon - 6
        afloat = self.spot.setting in ("sea", "lake")
        low, high = {
            "sky": (height + 8, max(height + 10, lowest)),
            "kerb": (170, 170),
            "floor": (168, 168),
            "table": (208, 222),
            "back": back,
            "front": (160, 226) if afloat else (212, 234),
        }[cue.relation]
        return self.horizon + 2 if cue.prop == "rainbow" else self.dice.uniform(low, high)


def _formation(count: int, shape: float, stance: str) -> Sequence[tuple[float, float]]:
    """Return (along, depth) of each object, in widths and rows, from back to front."""
    if stance == "air":
        return (
            ((0, 0), (0.56, 1))
            if count == 2
            else (
                ((0, 0),)
                if count == 1
                else ((-0.6, 0), (0.55, 0.15), (-0.05, 1.0), (1.05, 1.15))[:count]
            )
        )
    if stance == "track":
        return ((0.0, 1), (0.0, 0))[-count:]
    if stance == "table":
        row = 1.3
        return tuple(((step - (count - 1) / 2) * row, 0.4 * (step % 2)) for step in range(count))
    if shape > 1.45:
        return {
            1: ((0.0, 0.0),),
            2: ((-0.36, 1.0), (0.36, 0.0)),
            3: ((-0.62, 1.0), (0.62, 1.0), (0.0, 0.0)),
            4: ((-0.75, 1.0), (0.5, 1.0), (-0.52, 0.0), (0.72, 0.0)),
        }[count]
    row = 1.05 if count < 4 else 0.9
    return tuple(((step - (count - 1) / 2) * row, float(step % 2) * 0.6) for step in range(count))


def _may_join(name: str, pose: str, setting: str) -> bool:
    if name == "chair":
        return (pose == "office") == (setting == "office")
    return name not in _FACING or pose != "front"
