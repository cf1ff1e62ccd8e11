"""A car: saloon or hatchback from the side, or from the front."""

from __future__ import annotations

from cmr_hub_sketches.colours import GLASS, INK, LAMP, RGB, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look
from cmr_hub_sketches.objects.wheels import TYRE, car_wheel

SALOON = (
    "M-206 -34C-212 -62 -208 -84 -190 -92L-142 -98C-112 -136 -92 -148 -56 -149L22 -149"
    "C60 -149 84 -128 114 -101L172 -91C200 -85 210 -68 210 -46L207 -30L-202 -30Z"
)
SALOON_GLASS = "M-122 -99C-102 -126 -86 -137 -56 -137L20 -137C48 -137 70 -121 92 -99Z"
HATCHBACK = (
    "M-196 -34C-204 -60 -204 -88 -194 -100C-184 -128 -166 -150 -120 -152L8 -152"
    "C52 -152 78 -130 108 -102L170 -92C198 -86 208 -68 208 -46L205 -30L-192 -30Z"
)
HATCHBACK_GLASS = "M-172 -101C-164 -124 -150 -139 -118 -140L6 -140C40 -140 62 -122 86 -101Z"


def draw(art: Art, look: Look) -> None:
    if look.pose == "front":
        _front(art, look)
    elif look.dice.random() < 0.5:
        _side(art, look, SALOON, SALOON_GLASS, -18)
    else:
        _side(art, look, HATCHBACK, HATCHBACK_GLASS, -40)


def _side(art: Art, look: Look, body: str, glass: str, pillar: float) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    if look.night:
        art.polygon(xy("200 -72, 420 -20, 420 -2, 220 -8"), art.fade(LAMP, 0.4, 0.1))
    art.path(body, art.shade(colour, 0.25), edge, 4)
    art.path(glass, art.down(lighter(GLASS, 0.45), darker(GLASS, 0.25)), edge, 3)
    with art.inside(glass):
        art.polygon(
            [(pillar + 34, -150), (pillar + 62, -150), (pillar + 20, -95), (pillar - 8, -95)],
            (255, 255, 255),
            opacity=0.35,
        )
        art.rect(pillar, -150, 8, 60, colour)
        art.oval(pillar + 50, -104, 9, 16, darker(GLASS, 0.65))
        art.oval(pillar + 50, -121, 8, 9, darker(GLASS, 0.7))
    with art.inside(body):
        art.rect(-215, -52, 430, 30, darker(colour, 0.32))
        art.rect(-215, -92, 430, 5, lighter(colour, 0.4), opacity=0.6)
        for axle in (-128, 130):
            art.oval(axle, -32, 43, fill=darker(INK, 0.3))
    art.stroke([(pillar + 4, -98), (pillar + 4, -40)], edge, 2.5)
    art.stroke([(98, -96), (84, -44)], edge, 2.5)
    art.stroke([(pillar + 14, -82), (pillar + 32, -82)], edge, 5)
    art.rect(190, -78, 18, 17, art.light(LAMP) if look.night else (255, 246, 214), 6, edge, 2)
    art.rect(-207, -84, 13, 18, (196, 30, 36), 4, edge, 2)
    art.rect(180, -42, 34, 10, STEEL, 5)
    art.rect(-212, -42, 34, 10, STEEL, 5)
    for axle in (-128, 130):
        car_wheel(art, axle, 33)
    if look.night:
        art.oval(204, -70, 34, fill=art.glow(LAMP))


def _front(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for side in (-1, 1):
        art.rect(side * 66 - 17, -38, 34, 38, TYRE, 8)
    art.path(
        "M-62 -96C-56 -132 -48 -150 -30 -152L30 -152C48 -150 56 -132 62 -96Z",
        art.shade(colour, 0.3),
        edge,
        4,
    )
    art.path(
        "M-50 -98C-44 -126 -38 -138 -26 -140L26 -140C38 -138 44 -126 50 -98Z",
        art.down(lighter(GLASS, 0.5), darker(GLASS, 0.3)),
        edge,
        3,
    )
    art.polygon(xy("-20 -138, 2 -138, -16 -99, -38 -99"), (255, 255, 255), opacity=0.35)
    art.path(
        "M-86 -30L-88 -66C-88 -88 -76 -100 -56 -102L56 -102C76 -100 88 -88 88 -66L86 -30"
        "C84 -18 76 -16 66 -16L-66 -16C-76 -16 -84 -18 -86 -30Z",
        art.shade(colour),
        edge,
        4,
    )
    for side in (-1, 1):
        art.oval(side * 76, -108, 11, 8, colour, edge, 3)
        _lamp(art, side * 62, -72, look.night, edge)
    art.rect(-36, -78, 72, 18, INK, 6)
    for bar in (-74, -69, -64):
        art.stroke([(-32, bar), (32, bar)], STEEL, 1.6)
    art.rect(-88, -44, 176, 12, darker(colour, 0.3), 6)
    art.rect(-22, -46, 44, 14, (248, 248, 240), 2, INK, 1.5)


def _lamp(art: Art, x: float, y: float, lit: bool, edge: RGB) -> None:
    art.oval(x, y, 16, 12, art.light(LAMP) if lit else art.ball((250, 246, 226)), edge, 3)
    if lit:
        art.oval(x, y, 46, fill=art.glow(LAMP))


KIND = Kind(
    "car",
    draw,
    {"side": (420, 150), "front": (180, 152)},
    ("red", "blue", "yellow", "green", "white", "black", "grey", "orange", "purple", "pink"),
)
