"""A cow that stands, grazes or lies."""

from __future__ import annotations

from cmr_hub_sketches.colours import COLOURS, darker, lighter
from cmr_hub_sketches.kit import Art, curve_path, xy
from cmr_hub_sketches.objects.faces import eye
from cmr_hub_sketches.objects.kind import Kind, Look

PINK = (236, 176, 168)
HORN = (236, 226, 200)
HOOF = (70, 60, 56)
TRUNK = xy(
    "-122 -126, -104 -148, -40 -144, 40 -148, 92 -146, 116 -120, 112 -84, "
    "84 -58, 20 -52, -50 -54, -104 -60, -124 -90"
)


def draw(art: Art, look: Look) -> None:
    lying = look.pose == "lying"
    with art.at(-27, 47 if lying else 0):
        if not lying:
            _udder(art)
            for x in (-78, 66):
                _leg(art, look, x, far=True)
        _trunk(art, look)
        if lying:
            _folded(art, look)
        else:
            for x in (-102, 92):
                _leg(art, look, x, far=False)
        if look.pose == "grazing":
            art.limb(
                [(88, -116), (122, -98), (136, -74)],
                [70, 54, 44],
                look.colour,
                darker(look.colour, 0.5),
                2.5,
                bare=0.5,
            )
            _head(art, look, 142, -58, 40)
        else:
            art.limb(
                [(88, -112), (118, -138), (132, -150)],
                [72, 56, 48],
                look.colour,
                darker(look.colour, 0.5),
                2.5,
                bare=0.5,
            )
            _head(art, look, 140, -158, 0)
            art.stroke([(104, -100), (132, -118)], (120, 60, 40), 6)
            art.path("M112 -106L128 -106L132 -86L108 -86Z", COLOURS["yellow"], (140, 100, 20), 2)


def _udder(art: Art) -> None:
    art.blob(xy("-70 -62, -20 -60, -26 -38, -60 -36"), PINK, darker(PINK, 0.3), 2)
    for x in (-54, -36):
        art.stroke([(x, -38), (x, -32)], PINK, 6)


def _leg(art: Art, look: Look, x: float, *, far: bool) -> None:
    coat = darker(look.colour, 0.22) if far else look.colour
    edge = darker(look.colour, 0.5)
    art.limb([(x, -76), (x - 3, -38), (x, -8)], [34, 20, 18], coat, edge, 2.5, bare=0.3)
    art.path(f"M{x - 10} -10L{x + 10} -10L{x + 12} 0L{x - 11} 0Z", HOOF)


def _trunk(art: Art, look: Look) -> None:
    edge = darker(look.colour, 0.5)
    art.curve([(-118, -134), (-136, -110), (-134, -70)], edge, 7)
    art.curve([(-118, -134), (-136, -110), (-134, -70)], look.colour, 4)
    art.limb([(-134, -72), (-133, -48)], [7, 14], look.patch or darker(look.colour, 0.4), edge, 2)
    art.blob(TRUNK, art.shade(look.colour), edge, 2.5)
    if look.patch is not None:
        with art.inside(curve_path(TRUNK, closed=True)):
            for x, y, size in (
                (-92, -120, 36),
                (-14, -132, 40),
                (66, -92, 32),
                (-50, -66, 20),
                (96, -146, 24),
            ):
                turn = look.dice.uniform(0.8, 1.2)
                art.blob(
                    [
                        (x - size * turn, y),
                        (x - size * 0.3, y - size * 0.7),
                        (x + size * 0.8, y - size * 0.5),
                        (x + size, y + size * 0.3 * turn),
                        (x + size * 0.2, y + size * 0.8),
                        (x - size * 0.6, y + size * 0.5),
                    ],
                    look.patch,
                )


def _folded(art: Art, look: Look) -> None:
    edge = darker(look.colour, 0.5)
    for start, knee, foot in (
        ((76, -70), (118, -58), (88, -53)),
        ((-84, -74), (-40, -56), (-92, -53)),
    ):
        art.limb([start, knee, foot], [34, 18, 15], look.colour, edge, 2.5, bare=0.25)


def _head(art: Art, look: Look, x: float, y: float, turn: float) -> None:
    coat, edge = look.patch or look.colour, darker(look.colour, 0.5)
    with art.at(x, y, turn=turn):
        for tip in (((-6, -26), (-14, -42), (-2, -54)), ((8, -26), (14, -42), (26, -50))):
            art.limb(tip, [10, 8, 3], HORN, darker(HORN, 0.4), 1.6)
        art.blob(xy("-10 -20, -38 -26, -44 -14, -24 -6"), coat, edge, 2.5)
        art.blob(
            xy("-20 -14, -8 -30, 14 -28, 26 -8, 46 14, 46 34, 26 38, 6 26, -16 10"),
            art.ball(coat, 0.18, 0.1),
            edge,
            2.5,
        )
        if look.patch is not None:
            art.blob(xy("2 -28, 12 -27, 34 6, 26 16"), lighter(look.colour, 0.2))
        art.blob(
            xy("28 10, 48 12, 52 30, 40 42, 22 36, 18 22"),
            PINK,
            darker(PINK, 0.35),
            2,
        )
        art.oval(44, 20, 3.4, 4.4, darker(PINK, 0.6))
        art.curve([(28, 33), (38, 34), (46, 31)], darker(PINK, 0.55), 2)
        eye(art, 12, -8, 5)


KIND = Kind(
    "cow",
    draw,
    {"standing": (334, 214), "grazing": (338, 152), "lying": (334, 168)},
    ("black and white", "brown and white", "brown", "black", "white"),
)
