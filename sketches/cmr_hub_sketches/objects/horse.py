"""A horse that stands, grazes or gallops."""

from __future__ import annotations

from collections.abc import Sequence

from cmr_hub_sketches.colours import RGB, darker, lighter, mix
from cmr_hub_sketches.kit import Art, Point, xy
from cmr_hub_sketches.objects.faces import eye
from cmr_hub_sketches.objects.kind import Kind, Look

TRUNK = xy(
    "-92 -136, -62 -152, -10 -142, 40 -150, 76 -142, 88 -112, 66 -80, 20 -72, "
    "-30 -76, -70 -88, -94 -112"
)
HOOF = (60, 52, 50)


def draw(art: Art, look: Look) -> None:
    mane = _mane_colour(look)
    gallop = look.pose == "galloping"
    with art.at(0 if gallop else -21, -8 if gallop else -3):
        if gallop:
            _tail(art, mane, xy("-88 -136, -120 -140, -152 -120, -176 -122"))
            far = (
                xy("-70 -110, -92 -72, -130 -54, -150 -28"),
                xy("58 -106, 104 -84, 120 -50, 98 -36"),
            )
            near = (
                xy("-64 -112, -56 -70, -96 -40, -118 -10"),
                xy("66 -106, 112 -96, 146 -74, 160 -48"),
            )
        else:
            _tail(art, mane, xy("-88 -138, -112 -120, -114 -76, -106 -36"))
            far = (
                xy("-62 -110, -52 -70, -66 -44, -60 -6"),
                xy("56 -104, 58 -62, 56 -36, 58 -6"),
            )
            near = (
                xy("-74 -112, -66 -70, -86 -44, -80 -6"),
                xy("70 -106, 76 -62, 73 -36, 76 -6"),
            )
        for limb in far:
            _leg(art, darker(look.colour, 0.25), look.colour, limb)
        art.blob(TRUNK, art.shade(look.colour), darker(look.colour, 0.5), 2.5)
        if look.patch is not None:
            art.blob(xy("-70 -140, -20 -138, -16 -104, -60 -98"), look.patch)
            art.blob(xy("30 -142, 64 -136, 70 -104, 40 -100"), look.patch)
        for limb in near:
            _leg(art, look.colour, look.colour, limb)
        if look.pose == "grazing":
            _front(art, look, mane, xy("52 -118, 88 -110, 118 -86, 130 -74"), 130, -66, 40)
        else:
            _front(art, look, mane, xy("54 -116, 86 -146, 104 -186, 110 -200"), 112, -200, 0)


def _mane_colour(look: Look) -> RGB:
    if look.patch is not None:
        return look.patch
    bright = sum(look.colour) > 480
    return mix(look.colour, (210, 200, 180), 0.5) if bright else darker(look.colour, 0.55)


def _tail(art: Art, mane: RGB, points: Sequence[Point]) -> None:
    art.limb(points, [14, 26, 26, 6], mane, darker(mane, 0.4), 2)


def _leg(art: Art, coat: RGB, own: RGB, points: Sequence[Point]) -> None:
    art.limb(points, [44, 27, 16, 14], coat, darker(own, 0.5), 2.5, bare=0.3)
    (before, foot) = points[-2:]
    lean = (foot[0] - before[0]) * 0.16
    art.limb([foot, (foot[0] + lean, foot[1] + 1.5)], [15, 16], HOOF)


def _front(
    art: Art, look: Look, mane: RGB, neck: Sequence[Point], x: float, y: float, turn: float
) -> None:
    coat, edge = look.colour, darker(look.colour, 0.5)
    art.limb(neck, [74, 58, 42, 36], coat, edge, 2.5, bare=0.42)
    back = [(px - width, py - 8) for (px, py), width in zip(neck[1:], (22, 20, 15), strict=True)]
    with art.at(x, y, turn=turn):
        art.polygon([(-14, -16), (-12, -38), (0, -20)], darker(coat, 0.2), edge, 2)
        art.blob(
            xy("-18 -10, -4 -22, 16 -16, 38 6, 62 24, 62 40, 48 44, 28 32, 6 26, -14 16"),
            art.ball(coat, 0.18, 0.12),
            edge,
            2.5,
        )
        art.blob(
            xy("46 18, 62 26, 62 40, 48 44, 38 34"),
            darker(mix(coat, (120, 100, 96), 0.4), 0.2),
        )
        art.oval(57, 30, 2.6, 3.4, darker(coat, 0.75))
        art.curve([(46, 39), (54, 39)], darker(coat, 0.7), 1.8)
        art.blob(xy("8 -12, 14 -14, 36 10, 30 14"), lighter(coat, 0.75))
        eye(art, 12, -1, 4.6)
        art.polygon([(-6, -16), (-2, -40), (8, -18)], coat, edge, 2)
        art.blob(xy("-8 -26, 6 -24, 18 -6, 4 -10"), mane)
    art.limb([*back, (back[-1][0] + 12, back[-1][1] - 10)], [10, 24, 25, 14], mane)


KIND = Kind(
    "horse",
    draw,
    {"standing": (308, 243), "grazing": (292, 160), "galloping": (350, 248)},
    ("brown", "black", "white", "grey", "golden", "brown and white"),
)
