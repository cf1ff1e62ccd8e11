"""A dining table under a cloth, laid for a meal; long or round."""

from __future__ import annotations

from cmr_hub_sketches.colours import COLOURS, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look

WOOD = (142, 96, 58)


def draw(art: Art, look: Look) -> None:
    (_round if look.pose == "round" else _long)(art, look)


def _long(art: Art, look: Look) -> None:
    cloth, edge = look.colour, darker(look.colour, 0.5)
    for x in (-64, 64):
        art.rect(x - 3.5, -66, 7, 58, darker(WOOD, 0.35))
    for x in (-84, 84):
        art.polygon(
            [(x - 6, -62), (x + 6, -62), (x + 4, 0), (x - 4, 0)],
            art.round(WOOD),
            darker(WOOD, 0.5),
            1.5,
        )
    art.polygon(
        xy("-74 -98, 74 -98, 102 -70, -102 -70"),
        art.down(lighter(cloth, 0.12), lighter(cloth, 0.28)),
        edge,
        2,
    )
    art.path(
        "M-102 -70L102 -70L99 -44C88 -40 80 -48 68 -44C54 -40 46 -48 34 -44C20 -40 12 -48 0 -44"
        "C-12 -40 -20 -48 -34 -44C-46 -40 -54 -48 -68 -44C-80 -40 -88 -48 -99 -44Z",
        art.down(cloth, darker(cloth, 0.25)),
        edge,
        2,
    )
    for x in (-68, -34, 0, 34, 68):
        art.stroke([(x, -68), (x, -48)], darker(cloth, 0.25), 1.6)
    for x in (-58, 58):
        _plate(art, x, -77)
    _glass(art, -30, -76)
    _glass(art, 30, -76)
    _vase(art, look, 0, -82)


def _round(art: Art, look: Look) -> None:
    cloth, edge = look.colour, darker(look.colour, 0.5)
    art.path(
        "M-34 -2C-26 -12 -10 -12 -8 -30L8 -30C10 -12 26 -12 34 -2Z",
        art.round(WOOD),
        darker(WOOD, 0.5),
        1.5,
    )
    art.rect(-7, -60, 14, 40, art.round(WOOD))
    art.path(
        "M-80 -80C-84 -60 -80 -46 -78 -38C-66 -30 -58 -40 -46 -32"
        "C-34 -24 -26 -36 -12 -30C0 -24 10 -34 22 -30"
        "C36 -26 44 -38 56 -34C66 -30 72 -40 78 -38C80 -46 84 -60 80 -80Z",
        art.round(cloth, 0.18, 0.28),
        edge,
        2,
    )
    art.oval(0, -80, 81, 19, art.down(lighter(cloth, 0.14), lighter(cloth, 0.3)), edge, 2)
    for x in (-46, 46):
        _plate(art, x, -79)
    _glass(art, -20, -72)
    _glass(art, 22, -72)
    _vase(art, look, 0, -84)


def _plate(art: Art, x: float, y: float) -> None:
    art.oval(x, y, 18, 5.4, (250, 250, 248), (150, 150, 156), 1.2)
    art.oval(x, y - 0.4, 11, 3, (226, 228, 232))


def _glass(art: Art, x: float, y: float) -> None:
    with art.at(x, y):
        art.path(
            "M-5 -20L5 -20C6 -11 3 -9 0.8 -8.5L0.8 -2L5 0L-5 0L-0.8 -2L-0.8 -8.5"
            "C-3 -9 -6 -11 -5 -20Z",
            (224, 240, 248),
            (120, 140, 156),
            1,
            0.85,
        )
        art.path("M-5 -16L5 -16C5 -11 3 -9 0 -9C-3 -9 -5 -11 -5 -16Z", (150, 30, 52))


def _vase(art: Art, look: Look, x: float, y: float) -> None:
    petals = look.dice.choice([COLOURS["red"], COLOURS["yellow"], COLOURS["pink"], (250, 250, 246)])
    with art.at(x, y):
        for dx, dy in ((-13, -32), (0, -40), (13, -33)):
            art.stroke([(0, -12), (dx, dy)], (70, 140, 70), 1.8)
            art.oval(dx, dy, 7, fill=art.ball(petals), line=darker(petals, 0.35), width=1)
            art.oval(dx, dy, 2.4, fill=(250, 214, 90))
        art.path(
            "M-6 -18L6 -18C3 -12 10 -8 7 2L-7 2C-10 -8 -3 -12 -6 -18Z",
            art.round((226, 232, 240)),
            (110, 120, 136),
            1.3,
        )


KIND = Kind(
    "dining table",
    draw,
    {"long": (206, 134), "round": (166, 134)},
    ("red", "blue", "yellow", "green", "white", "orange", "purple", "pink"),
)
