"""A bottle: of wine, of juice or a slim one, with a label."""

from __future__ import annotations

from cmr_hub_sketches.colours import COLOURS, RGB, darker, lighter
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.objects.kind import Kind, Look

PAPER = (250, 244, 226)
SHAPES = {
    "wine": (
        "M-2.6 -34.7L-2.6 -25.8C-2.9 -22.4 -6.3 -21.3 -6.3 -15.7L-6.3 -1.7"
        "C-6.3 0 -5.6 0.7 -4.6 0.7L4.6 0.7C5.6 0.7 6.3 0 6.3 -1.7L6.3 -15.7"
        "C6.3 -21.3 2.9 -22.4 2.6 -25.8L2.6 -34.7Z"
    ),
    "juice": (
        "M-3.3 -26.5L-3.3 -23.3C-3.6 -20.7 -7.2 -19.1 -7.2 -13.8L-7.2 -2.1"
        "C-7.2 0 -6.5 0.6 -5.3 0.6L5.3 0.6C6.5 0.6 7.2 0 7.2 -2.1L7.2 -13.8"
        "C7.2 -19.1 3.6 -20.7 3.3 -23.3L3.3 -26.5Z"
    ),
    "slim": (
        "M-2.8 -28.6L-2.8 -26.5C-3.1 -23.3 -6.2 -22.3 -6.2 -18.6"
        "C-6.2 -15.9 -5.3 -15.5 -5.3 -13.8C-5.3 -12.1 -6.2 -11.7 -6.2 -9.5"
        "L-6.2 -1.5C-6.2 0 -5.5 0.6 -4.7 0.6L4.7 0.6C5.5 0.6 6.2 0 6.2 -1.5"
        "L6.2 -9.5C6.2 -11.7 5.3 -12.1 5.3 -13.8C5.3 -15.5 6.2 -15.9 6.2 -18.6"
        "C6.2 -22.3 3.1 -23.3 2.8 -26.5L2.8 -28.6Z"
    ),
}


def draw(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    body = SHAPES[look.pose]
    art.path(body, art.round(colour, 0.3, 0.35), edge, 0.7)
    with art.inside(body):
        art.rect(-8, -42, 3.4, 44, lighter(colour, 0.2), opacity=0.25)
        art.rect(3.8, -22, 1.2, 24, lighter(colour, 0.6), opacity=0.5)
        _label(art, look)
        art.limb([(-4.2, -14), (-4.2, -3)], [1.1, 1.1], (255, 255, 255))
        art.limb([(-1.5, -32), (-1.5, -25)], [0.7, 0.7], (255, 255, 255))
    _cap(
        art,
        look.pose,
        look.dice.choice([COLOURS["red"], COLOURS["blue"], (226, 190, 90), (90, 60, 44)]),
    )


def _label(art: Art, look: Look) -> None:
    if look.pose == "slim":
        art.rect(-12, -8, 24, 5, art.round(PAPER, 0.2, 0.2))
        art.rect(-12, -6.2, 24, 1.4, darker(look.colour, 0.2))
        return
    art.rect(-12, -13, 24, 8.6, art.round(PAPER, 0.2, 0.2))
    if look.pose == "wine":
        art.rect(-3.6, -11.4, 7.2, 1.3, darker(look.colour, 0.4))
        art.rect(-2.6, -9, 5.2, 0.9, (150, 130, 96))
        art.rect(-2.6, -7, 5.2, 0.9, (150, 130, 96))
    else:
        art.oval(0, -8.6, 3.2, fill=art.ball(COLOURS["orange"]))
        art.polygon([(0, -11.8), (3.4, -13), (2.4, -10.8)], COLOURS["green"])


def _cap(art: Art, pose: str, colour: RGB) -> None:
    top = {"wine": -36.4, "juice": -28.8, "slim": -31.2}[pose]
    width = {"wine": 6.2, "juice": 8, "slim": 6.8}[pose]
    height = 5.4 if pose == "wine" else 3.4
    art.rect(-width / 2, top, width, height, art.round(colour), 0.8, darker(colour, 0.5), 0.6)


KIND = Kind(
    "bottle",
    draw,
    {"wine": (13, 37), "juice": (15, 29), "slim": (13, 32)},
    ("red", "blue", "yellow", "green", "orange", "purple", "pink", "brown", "white", "black"),
)
