"""A chair: of wood with a padded seat, or on wheels for a desk."""

from __future__ import annotations

from cmr_hub_sketches.colours import INK, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look


def draw(art: Art, look: Look) -> None:
    if look.pose == "office":
        _office(art, look)
    else:
        with art.at(-4, -3):
            _wooden(art, look)


def _wooden(art: Art, look: Look) -> None:
    wood, edge = look.colour, darker(look.colour, 0.5)
    dark = darker(wood, 0.25)
    for start, end in (((-18, -48), (-19, -8)), ((25, -46), (27, -8))):
        art.limb([start, end], [6, 5], dark, edge, 1.2)
    art.limb([(-20, -50), (-24, -104)], [6.5, 6], art.round(wood), edge, 1.2)
    art.limb([(20, -52), (18, -106)], [6.5, 6], art.round(wood), edge, 1.2)
    art.path(
        "M-26 -106C-10 -114 8 -115 21 -109L20 -94C8 -99 -10 -98 -25 -91Z",
        art.shade(wood, 0.25),
        edge,
        1.4,
    )
    art.path(
        "M-23 -82C-10 -87 8 -88 19 -84L19 -75C8 -79 -10 -78 -22 -73Z",
        art.shade(wood, 0.25),
        edge,
        1.4,
    )
    art.path(
        "M-22 -66C-10 -70 8 -71 19 -68L19 -60C8 -63 -10 -62 -21 -58Z",
        art.shade(wood, 0.25),
        edge,
        1.4,
    )
    art.polygon(
        xy("-22 -53, 22 -55, 34 -44, -26 -41"),
        art.down(lighter(wood, 0.3), wood),
        edge,
        1.5,
    )
    art.polygon(xy("-26 -41, 34 -44, 34 -37, -26 -34"), art.shade(darker(wood, 0.12)), edge, 1.5)
    art.stroke([(-23, -20), (29, -22)], dark, 3.4)
    for start, end in (((-23, -36), (-25, 0)), ((30, -38), (33, -2))):
        art.limb([start, end], [7, 5.4], art.round(wood), edge, 1.2)


def _office(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for x in (-28, -14, 14, 28):
        art.limb([(0, -14), (x, -6)], [7, 4.5], darker(STEEL, 0.5))
        art.oval(x, -4, 4.2, fill=INK)
    art.rect(-3.5, -40, 7, 28, art.round(STEEL), 2, INK, 1)
    art.rect(-4, -66, 8, 26, INK)
    art.path(
        (
            "M-24 -66C-28 -90 -26 -112 -16 -116L16 -116C26 -112 28 -90 24 -66"
            "C10 -60 -10 -60 -24 -66Z"
        ),
        art.round(colour, 0.25, 0.2),
        edge,
        1.8,
    )
    art.curve([(-20, -84), (0, -80), (20, -84)], darker(colour, 0.3), 1.6)
    art.path(
        ("M-29 -50C-28 -56 28 -56 29 -50C32 -42 28 -38 20 -38L-20 -38C-28 -38 -32 -42 -29 -50Z"),
        art.shade(colour, 0.3, 0.3),
        edge,
        1.8,
    )
    for side in (-1, 1):
        art.path(f"M{side * 26} -44L{side * 34} -48L{side * 34} -66", None, INK, 4)
        art.limb([(side * 34, -67), (side * 30, -67)], [7, 7], INK)


KIND = Kind(
    "chair",
    draw,
    {"wooden": (65, 114), "office": (72, 116)},
    ("red", "blue", "yellow", "green", "orange", "purple", "pink", "brown", "white", "black"),
)
