"""A dog that stands, sits or runs."""

from __future__ import annotations

from collections.abc import Sequence

from cmr_hub_sketches.colours import COLOURS, darker, lighter
from cmr_hub_sketches.kit import Art, Point, curve_path, xy
from cmr_hub_sketches.objects.faces import BLACK, eye
from cmr_hub_sketches.objects.kind import Kind, Look


def draw(art: Art, look: Look) -> None:
    with art.at({"standing": -7.5, "sitting": 0, "running": -5}[look.pose], scale=0.27):
        {"standing": _standing, "sitting": _sitting, "running": _running}[look.pose](art, look)


def _standing(art: Art, look: Look) -> None:
    _tail(art, look, xy("-122 -166, -164 -198, -176 -244, -160 -262"))
    _legs(
        art,
        look,
        ((-96, -160), (-70, -96), (-100, -48), (-84, -10)),
        ((70, -150), (84, -90), (82, -10)),
        far=True,
    )
    _trunk(
        art,
        look,
        xy(
            "-136 -168, -100 -198, -20 -190, 60 -198, 112 -196, 122 -146, 84 -104, "
            "20 -116, -40 -122, -90 -110, -134 -130"
        ),
    )
    _legs(
        art,
        look,
        ((-112, -150), (-92, -92), (-124, -50), (-108, -10)),
        ((90, -150), (102, -90), (104, -10)),
        far=False,
    )
    _head(art, look, 116, -228)


def _running(art: Art, look: Look) -> None:
    _tail(art, look, [(-128, -160), (-176, -176), (-208, -206)])
    _legs(
        art,
        look,
        ((-96, -150), (-110, -96), (-160, -70), (-196, -48)),
        ((80, -140), (140, -100), (186, -86)),
        far=True,
    )
    _trunk(
        art,
        look,
        xy(
            "-142 -150, -106 -186, -20 -176, 60 -196, 116 -196, 124 -146, 84 -108, "
            "20 -110, -50 -116, -110 -108, -140 -122"
        ),
    )
    _legs(
        art,
        look,
        ((-112, -140), (-96, -90), (-130, -50), (-164, -20)),
        ((92, -140), (128, -86), (160, -44)),
        far=False,
    )
    _head(art, look, 124, -226)


def _sitting(art: Art, look: Look) -> None:
    fur, edge = look.colour, darker(look.colour, 0.5)
    _tail(art, look, [(-76, -30), (-130, -22), (-164, -56)])
    art.limb([(44, -120), (50, -60), (48, -10)], [50, 34, 30], darker(fur, 0.25), edge, 4)
    _trunk(
        art,
        look,
        xy("-20 -190, 40 -206, 72 -170, 70 -100, 40 -40, -20 -4, -90 -4, -106 -50, -80 -120"),
    )
    art.blob(
        xy("-96 -40, -70 -90, -16 -88, 6 -44, -10 -6, -80 -4"),
        art.ball(fur, 0.15, 0.12),
        edge,
        4,
    )
    art.oval(2, -12, 34, 13, lighter(fur, 0.12), edge, 4)
    art.limb([(26, -140), (30, -70), (30, -12)], [54, 36, 32], fur, edge, 4, bare=0.35)
    art.oval(38, -12, 26, 13, lighter(fur, 0.12), edge, 4)
    _head(art, look, 40, -244)


def _tail(art: Art, look: Look, points: Sequence[Point]) -> None:
    widths = [30 - 14 * index / (len(points) - 1) for index in range(len(points))]
    art.limb(points, widths, look.patch or look.colour, darker(look.colour, 0.5), 4)


def _legs(art: Art, look: Look, hind: Sequence[Point], fore: Sequence[Point], *, far: bool) -> None:
    edge = darker(look.colour, 0.5)
    fur = darker(look.colour, 0.25) if far else look.colour
    art.limb(hind, [58, 46, 26, 24], fur, edge, 4, bare=0.3)
    art.limb(fore, [48, 34, 26], fur, edge, 4, bare=0.3)
    for foot in (hind[-1], fore[-1]):
        art.oval(foot[0] + 8, foot[1] + 1, 22, 11, lighter(fur, 0.15), edge, 4)


def _trunk(art: Art, look: Look, outline: Sequence[Point]) -> None:
    art.blob(outline, art.shade(look.colour), darker(look.colour, 0.5), 4)
    with art.inside(curve_path(outline, closed=True)):
        if look.patch is not None:
            art.oval(-70, -170, 56, 60, look.patch)
            art.oval(96, -210, 44, 50, look.patch)
        else:
            art.oval(60, -84, 70, 34, lighter(look.colour, 0.25), opacity=0.6)


def _head(art: Art, look: Look, x: float, y: float) -> None:
    fur, edge = look.colour, darker(look.colour, 0.5)
    ear = look.patch or darker(fur, 0.3)
    muzzle = lighter(fur, 0.25) if look.patch is None else fur
    collar = look.dice.choice([COLOURS["red"], COLOURS["blue"], COLOURS["green"]])
    with art.at(x, y):
        art.limb([(-22, 52), (6, 12)], [84, 76], art.shade(fur, 0.1, 0.1), edge, 4)
        art.limb([(-44, 36), (24, 54)], [16, 16], collar, darker(collar, 0.4), 3)
        art.oval(14, 64, 9, fill=COLOURS["yellow"], line=INK_EDGE, width=3)
        art.path("M56 30C60 62 84 62 82 26Z", (226, 96, 108), darker((226, 96, 108), 0.4), 3)
        head = xy(
            "-46 -12, -30 -50, 14 -62, 46 -40, 64 -20, 112 -14, 124 6, 108 28, 60 36, 6 40, -36 26"
        )
        art.blob(head, art.ball(fur, 0.18, 0.12), edge, 4)
        art.blob(xy("52 -16, 110 -12, 122 6, 106 26, 62 34, 44 10"), muzzle)
        art.oval(116, -8, 14, 12, BLACK)
        art.oval(112, -12, 4, 3, (200, 200, 205))
        art.curve([(112, 16), (84, 22), (58, 14)], edge, 4)
        eye(art, 36, -22, 9)
        art.blob(
            xy("-34 -48, -4 -54, 8 -24, 2 26, -24 46, -48 20, -50 -18"),
            ear,
            edge,
            4,
        )


INK_EDGE = (90, 70, 20)

KIND = Kind(
    "dog",
    draw,
    {"standing": (118, 80), "sitting": (93, 84), "running": (128, 79)},
    ("brown", "black", "white", "grey", "golden", "black and white", "brown and white"),
)
