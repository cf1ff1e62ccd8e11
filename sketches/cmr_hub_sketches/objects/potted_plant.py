"""A plant in a pot: broad leaves, a palm, a cactus or flowers."""

from __future__ import annotations

import math

from cmr_hub_sketches.colours import COLOURS, RGB, darker, lighter, mix
from cmr_hub_sketches.kit import Art, Point
from cmr_hub_sketches.objects.kind import Kind, Look

LEAF = (64, 148, 76)
STEM = (70, 120, 62)


def draw(art: Art, look: Look) -> None:
    {"leafy": _leafy, "palm": _palm, "cactus": _cactus, "flowering": _flowering}[look.pose](
        art, look
    )
    _pot(art, look.colour)


def _pot(art: Art, colour: RGB) -> None:
    edge = darker(colour, 0.5)
    art.path(
        "M-17 -26L17 -26L13 -2C12 0.6 -12 0.6 -13 -2Z", art.round(colour, 0.28, 0.3), edge, 1.3
    )
    art.rect(-20, -34, 40, 9.5, art.round(colour, 0.34, 0.22), 2.4, edge, 1.3)
    art.path("M-16 -19L16 -19", None, lighter(colour, 0.4), 1.6, 0.7)


def _leaf(art: Art, root: Point, angle: float, length: float, width: float, green: RGB) -> None:
    with art.at(*root, turn=angle):
        low, high, narrow = -0.35 * length, -0.75 * length, 0.8 * width
        shape = (
            f"M0 0C{-width} {low:.2f} {-narrow:.2f} {high:.2f} 0 {-length:.2f}"
            f"C{narrow:.2f} {high:.2f} {width} {low:.2f} 0 0Z"
        )
        art.path(shape, art.round(green, 0.2, 0.2), darker(green, 0.45), 1.1)
        art.stroke([(0, 0), (0, -length * 0.85)], lighter(green, 0.4), 0.9)


def _leafy(art: Art, look: Look) -> None:
    for index, angle in enumerate((-74, 72, -50, 50, -24, 26, 0)):
        green = mix(LEAF, (120, 180, 80), look.dice.random() * 0.5)
        length = 46 + index * 5 + look.dice.uniform(-4, 4)
        _leaf(art, (0, -32), angle, length, 15, darker(green, 0.12) if index < 2 else green)


def _palm(art: Art, look: Look) -> None:
    art.limb([(0, -30), (2, -60), (-1, -84)], [7, 6, 5], art.round((150, 112, 74)), (90, 64, 40), 1)
    for angle in (-110, 108, -76, 74, -44, 42, -14, 16):
        reach = 42 + look.dice.uniform(-4, 4)
        bend = math.radians(angle)
        tip = (math.sin(bend) * reach, -84 - math.cos(bend) * reach * 0.8 + abs(angle) * 0.12)
        middle = (math.sin(bend) * reach * 0.55, -84 - math.cos(bend) * reach * 0.6 - 8)
        green = LEAF if abs(angle) > 60 else lighter(LEAF, 0.12)
        art.limb([(-1, -84), middle, tip], [4, 11, 1.5], green, darker(green, 0.45), 1)


def _cactus(art: Art, look: Look) -> None:
    green = (86, 150, 84)
    edge = darker(green, 0.45)
    for side, height in ((-1, -66), (1, -78)):
        art.limb(
            [(0, height + 10), (side * 19, height + 8), (side * 20, height - 16)],
            [11, 12, 11],
            art.round(green),
            edge,
            1.3,
        )
    art.limb([(0, -30), (0, -98)], [23, 20], art.round(green), edge, 1.3)
    for y in range(-96, -36, 9):
        for x in (-6, 0, 6):
            art.stroke([(x - 1.2, y), (x + 1.2, y - 1.8)], (246, 246, 220), 0.9)
    art.oval(
        0,
        -110,
        5,
        fill=look.dice.choice([COLOURS["pink"], COLOURS["red"], COLOURS["yellow"]]),
        line=edge,
        width=1,
    )


def _flowering(art: Art, look: Look) -> None:
    petal = look.dice.choice(
        [COLOURS["pink"], COLOURS["red"], COLOURS["yellow"], COLOURS["purple"], COLOURS["white"]]
    )
    for lean in (-62, 60, -34, 36):
        _leaf(art, (0, -32), lean, 34, 10, LEAF)
    for x, y in ((-27, -76), (24, -80), (-3, -96), (-13, -60), (14, -62)):
        art.curve([(0, -32), (x * 0.4, (y - 32) / 2), (x, y)], STEM, 2)
        for turn in range(6):
            angle = math.tau * turn / 6
            right, down = x + 6.6 * math.cos(angle), y + 6.6 * math.sin(angle)
            art.oval(right, down, 4.8, fill=petal, line=darker(petal, 0.3), width=0.8)
        art.oval(x, y, 4.4, fill=(246, 190, 60), line=(170, 110, 20), width=0.8)


KIND = Kind(
    "potted plant",
    draw,
    {"leafy": (98, 111), "palm": (84, 124), "cactus": (54, 116), "flowering": (78, 110)},
    ("red", "blue", "yellow", "orange", "purple", "pink", "brown", "white", "black"),
)
