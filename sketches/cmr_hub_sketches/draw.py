"""Draw a scene as a picture."""

from __future__ import annotations

import io
from random import Random
from typing import TYPE_CHECKING

from cmr_hub_sketches.colours import COLOURS, FUR, RGB, darker
from cmr_hub_sketches.compose import TABLE_TOP
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.objects import KINDS
from cmr_hub_sketches.objects.kind import Look
from cmr_hub_sketches.props import PROPS
from cmr_hub_sketches.scene import Group, Place, Scene
from cmr_hub_sketches.settings import INDOORS, OUTDOORS, WALLS
from cmr_hub_sketches.settings.air import (
    HEIGHT,
    WIDTH,
    Air,
    backdrop_tone,
    fall,
    figure_tone,
    indoor_figure_tone,
    indoor_tone,
)
from cmr_hub_sketches.settings.ways import (
    road_along,
    road_towards,
    track_along,
    track_towards,
)

if TYPE_CHECKING:
    from PIL import Image

_ANIMALS = {"cat", "dog", "cow", "horse", "sheep"}
_HANGING = {"sky", "wall"}


def draw(scene: Scene, width: int = WIDTH) -> Image.Image:
    """Draw a scene in RGB, `width` pixels wide and three quarters of the width high.

    Raises:
        ValueError: the width is below 32, above 4096, or not a multiple of 4.
    """
    # Slow to import, and not needed for scenes and sentences.
    import resvg_py
    from PIL import Image

    if not 32 <= width <= 4096 or width % 4:
        raise ValueError(f"a width must be a multiple of 4 between 32 and 4096, not {width}")
    data = resvg_py.svg_to_bytes(svg_string=svg(scene), width=width, skip_system_fonts=True)
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def svg(scene: Scene) -> str:
    """Draw a scene as SVG."""
    air = Air(
        scene.time,
        scene.weather or ("clear" if scene.time == "night" else "sunny"),
        Random(scene.seed),
    )
    indoors = scene.setting in INDOORS
    tone = indoor_tone(air) if indoors else backdrop_tone(air)
    light = indoor_figure_tone(air) if indoors else figure_tone(air)
    art = Art(tone)
    _backdrop(art, scene, air)
    things = [
        (_order(group, place), group, index)
        for group in scene.groups
        for index, place in enumerate(group.places)
    ]
    for _, group, index in sorted(things, key=lambda thing: thing[0]):
        subject = group.kind in KINDS
        with art.lit(light if subject else tone):
            _thing(art, scene, group, index, air)
    if not indoors:
        fall(art, air)
    return art.svg(WIDTH, HEIGHT)


def _order(group: Group, place: Place) -> tuple[int, float]:
    """Return the drawing order: hanging objects, rugs, then standing objects from far to near."""
    if group.relation in _HANGING:
        return (0, place.y)
    return (1, 0.0) if group.kind == "rug" else (2, place.y)


def _backdrop(art: Art, scene: Scene, air: Air) -> None:
    if scene.wall is not None:
        INDOORS[scene.setting](art, air, WALLS[scene.wall])
    else:
        place = OUTDOORS[scene.setting]
        place.draw(art, air)
        _way(art, scene, place.horizon)
    if scene.stance == "table":
        wood = (168, 118, 76)
        art.rect(0, TABLE_TOP, WIDTH, HEIGHT, art.down((196, 146, 98), wood))
        for y, bend in ((192, 1.0), (203, 1.6), (216, 2.2), (230, 3.0)):
            art.curve(
                [(0, y), (90, y + bend), (190, y - bend), (320, y + bend)],
                darker(wood, 0.14),
                0.8,
                0.7,
            )
        art.rect(0, TABLE_TOP - 1, WIDTH, 2, (214, 168, 120))


def _way(art: Art, scene: Scene, horizon: float) -> None:
    front = scene.main.pose == "front"
    first = scene.main.places[-1]
    if scene.stance == "road" and front:
        road_towards(art, horizon + 12 if scene.setting != "street" else 152)
    elif scene.stance == "road" and scene.setting != "street":
        road_along(art)
    elif scene.stance == "track" and front:
        half = 84 * first.scale
        track_towards(art, horizon + 12, first.x, half, first.y)
    elif scene.stance == "track":
        for place in scene.main.places:
            track_along(art, place.y, max(5.0, 46 * place.scale))


def _thing(art: Art, scene: Scene, group: Group, index: int, air: Air) -> None:
    kind = KINDS.get(group.kind) or PROPS[group.kind]
    place = group.places[index]
    colour, patch = _coat(group, index)
    width, _ = kind.poses[group.pose]
    floats = (
        scene.stance == "water" and group.kind in ("boat", "bird", "buoy")
    ) or group.kind == "buoy"
    flies = group.relation in _HANGING or (group.relation == "main" and scene.stance == "air")
    half = width * place.scale / 2
    if floats:
        art.oval(
            place.x, place.y + 2, half * 1.02, max(2.5, half * 0.09), (20, 50, 80), opacity=0.35
        )
    elif not flies and group.kind != "rug":
        _shadow(art, place, half)
    look = Look(colour, patch, group.pose, air.night, Random(place.seed))
    with art.at(place.x, place.y, place.scale, mirrored=place.mirrored):
        kind.draw(art, look)
    if floats:
        _ripples(art, place, half)


def _coat(group: Group, index: int) -> tuple[RGB, RGB | None]:
    if not group.colours:
        return (128, 128, 128), None
    table = FUR if group.kind in _ANIMALS else COLOURS
    first, _, second = group.colours[index].partition(" and ")
    return (table[second], table[first]) if second else (table[first], None)


def _shadow(art: Art, place: Place, half: float) -> None:
    deep = max(2.0, min(9.0, half * 0.13))
    for size, strength in ((1.08, 0.14), (0.94, 0.18)):
        art.oval(place.x, place.y, half * size, deep * size, (16, 18, 30), opacity=strength)


def _ripples(art: Art, place: Place, half: float) -> None:
    """Small waves over the waterline."""
    foam = (232, 244, 250)
    for shift, reach in ((1.0, 1.04), (4.0, 0.7)):
        points = [
            (place.x + half * reach * (step / 4 - 1), place.y + shift + (1.0 if step % 2 else -0.6))
            for step in range(9)
        ]
        art.curve(points, foam, 1.6, 0.75)
