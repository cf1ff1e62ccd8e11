"""A sheep that stands, grazes or lies."""

from __future__ import annotations

from cmr_hub_sketches.colours import RGB, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.faces import eye
from cmr_hub_sketches.objects.kind import Kind, Look

CURLS = (
    *((-58, -58, 22), (-62, -80, 20), (-44, -98, 23), (-14, -104, 24), (18, -102, 24)),
    *((46, -94, 22), (60, -72, 21), (50, -50, 22), (22, -44, 22), (-10, -42, 22), (-38, -46, 22)),
)


def draw(art: Art, look: Look) -> None:
    lying = look.pose == "lying"
    face = (62, 54, 54) if look.dice.random() < 0.5 or look.colour[0] < 90 else (222, 200, 178)
    with art.at(-10, 17 if lying else 0):
        if not lying:
            for x in (-30, 34):
                _leg(art, x, darker(face, 0.25))
        _fleece(art, look.colour)
        if lying:
            for x in (-34, 44):
                art.limb([(x, -21), (x + 22, -20)], [11, 10], face, darker(face, 0.4), 1.6)
        else:
            for x in (-44, 46):
                _leg(art, x, face)
        if look.pose == "grazing":
            _head(art, look.colour, face, 78, -42, 52)
        else:
            _head(art, look.colour, face, 70, -100, 8)


def _leg(art: Art, x: float, colour: RGB) -> None:
    art.limb([(x, -40), (x, -6)], [14, 10], colour, darker(colour, 0.4), 1.6)
    art.rect(x - 6, -7, 13, 7, (40, 36, 38), 2)


def _fleece(art: Art, wool: RGB) -> None:
    edge = darker(wool, 0.42)
    for x, y, size in CURLS:
        art.oval(x, y, size + 1.2, fill=None, line=edge, width=2.4)
    for x, y, size in CURLS:
        art.oval(x, y, size + 1, fill=art.ball(wool, 0.2, 0.16))
    art.blob(xy("-56 -70, -30 -96, 20 -96, 54 -74, 30 -52, -30 -52"), wool)
    for x, y in ((-40, -82), (-12, -90), (18, -86), (40, -72), (-26, -62), (4, -66), (28, -56)):
        art.path(f"M{x - 8} {y}A8 8 0 0 0 {x + 8} {y}", None, darker(wool, 0.2), 2.4)


def _head(art: Art, wool: RGB, face: RGB, x: float, y: float, turn: float) -> None:
    edge = darker(face, 0.45)
    with art.at(x, y, turn=turn):
        art.blob(xy("-4 -8, -26 -10, -34 0, -26 8, -8 4"), face, edge, 1.8)
        art.blob(
            xy("-14 -14, 8 -18, 24 -4, 36 16, 30 28, 16 28, -8 14"),
            art.ball(face, 0.2, 0.1),
            edge,
            2,
        )
        art.blob(xy("24 6, 36 16, 31 27, 20 27"), lighter(face, 0.18))
        art.oval(31, 15, 2.2, fill=edge)
        art.curve([(22, 24), (30, 23)], darker(face, 0.7), 1.8)
        for dx, dy, size in ((-12, -14, 11), (2, -19, 11), (-6, -22, 10)):
            art.oval(dx, dy, size, fill=art.ball(wool, 0.2, 0.1), line=darker(wool, 0.3), width=1.4)
        art.oval(10, -3, 5, 5, (250, 250, 250))
        eye(art, 11, -2.5, 3.6)


KIND = Kind(
    "sheep",
    draw,
    {"standing": (189, 133), "grazing": (191, 131), "lying": (189, 116)},
    ("white", "black", "brown", "grey"),
)
