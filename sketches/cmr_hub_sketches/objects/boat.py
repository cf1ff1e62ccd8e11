"""A boat: under sail, with a motor, or a fishing boat."""

from __future__ import annotations

from cmr_hub_sketches.colours import COLOURS, GLASS, INK, LAMP, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look

WOOD = (150, 104, 66)


def draw(art: Art, look: Look) -> None:
    with art.at({"sailing": -15, "motor": -3, "fishing": -8}[look.pose]):
        {"sailing": _sailing, "motor": _motor, "fishing": _fishing}[look.pose](art, look)


def _sailing(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    hull = (
        "M-206 -58C-130 -50 120 -52 236 -76C214 -30 186 4 150 12L-150 12C-186 2 -202 -26 -206 -58Z"
    )
    art.rect(-10, -520, 12, 470, art.round(WOOD))
    sail = art.round((250, 248, 240), 0.3, 0.18)
    grey = (150, 156, 164)
    art.path("M14 -508C60 -380 150 -220 206 -104C140 -92 70 -90 14 -92Z", sail, grey, 4)
    art.path("M-20 -486C-60 -360 -150 -200 -196 -104C-140 -92 -70 -90 -20 -92Z", sail, grey, 4)
    art.path(
        "M14 -300C50 -290 84 -288 112 -292L152 -212C104 -200 56 -202 14 -214Z", art.round(colour)
    )
    art.polygon([(2, -520), (66, -500), (2, -480)], colour, edge, 3)
    art.path(hull, art.shade(colour, 0.2), edge, 6)
    with art.inside(hull):
        art.rect(-220, -18, 470, 40, darker(colour, 0.4))
        art.path(
            "M-220 -50C-130 -40 120 -42 250 -66L250 -54C120 -28 -130 -26 -220 -38Z",
            lighter(colour, 0.75),
        )
    art.path("M-120 -56L-104 -84L40 -84L62 -56Z", art.shade((240, 236, 226)), edge, 4)
    for x in (-78, -36, 6):
        art.oval(x, -68, 9, fill=art.light(LAMP) if look.night else darker(GLASS, 0.3))


def _motor(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    hull = (
        "M-212 -86C-80 -84 100 -88 240 -112C210 -50 176 4 120 12L-176 12"
        "C-204 -10 -212 -50 -212 -86Z"
    )
    art.path(
        "M-110 -86L-96 -150L24 -150C52 -130 76 -106 92 -90Z", art.shade((244, 243, 238)), edge, 5
    )
    art.path(
        "M-74 -98L-68 -138L18 -138C38 -124 50 -112 62 -100Z",
        art.light(LAMP) if look.night else art.down(lighter(GLASS, 0.3), darker(GLASS, 0.3)),
        edge,
        4,
    )
    art.stroke([(-26, -138), (-26, -98)], edge, 5)
    art.stroke([(-90, -150), (-106, -210)], STEEL, 6)
    art.polygon([(-106, -210), (-158, -198), (-103, -184)], colour, edge, 3)
    art.path(hull, art.shade(colour, 0.22), edge, 6)
    with art.inside(hull):
        art.path(
            "M-220 -60C-80 -56 100 -60 250 -86L250 -70C100 -40 -80 -38 -220 -42Z",
            lighter(colour, 0.8),
        )
        art.rect(-220, -14, 470, 40, darker(colour, 0.4))
    art.curve(xy("110 -92, 150 -126, 224 -134, 232 -110"), STEEL, 5)
    art.rect(-236, -96, 36, 60, art.shade(INK), 8)
    art.oval(-120, -40, 16, fill=None, line=(250, 250, 250), width=9)
    art.oval(-120, -40, 16, fill=None, line=COLOURS["red"], width=3)
    if look.night:
        art.oval(236, -112, 50, fill=art.glow(LAMP))


def _fishing(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    hull = (
        "M-220 -110C-190 -80 -100 -72 0 -74C90 -76 180 -100 238 -140"
        "C222 -70 190 0 130 12L-150 12C-196 -10 -216 -60 -220 -110Z"
    )
    art.rect(-66, -330, 12, 180, art.round(WOOD))
    art.stroke([(-60, -318), (-190, -96)], INK, 3)
    art.stroke([(-60, -318), (200, -126)], INK, 3)
    art.polygon([(-54, -330), (10, -312), (-54, -294)], COLOURS["red"], INK, 3)
    art.rect(-128, -190, 138, 122, art.shade((246, 242, 230)), 8, edge, 5)
    art.rect(-142, -204, 168, 22, art.shade(darker(colour, 0.1)), 8, edge, 4)
    for left in (-112, -48):
        pane = art.light(LAMP) if look.night else art.down(lighter(GLASS, 0.3), darker(GLASS, 0.3))
        art.rect(left, -168, 44, 42, pane, 6, edge, 4)
    art.path(hull, art.shade(colour, 0.22), edge, 6)
    with art.inside(hull):
        art.rect(-230, -18, 480, 40, darker(colour, 0.4))
        art.path(
            (
                "M-230 -98C-190 -66 -100 -58 0 -60C90 -62 180 -86 250 -128L250 -112"
                "C180 -70 90 -46 0 -44C-100 -42 -190 -50 -230 -82Z"
            ),
            lighter(colour, 0.8),
        )
    for x in (-110, -20, 70):
        art.oval(x, -36, 20, fill=INK)
        art.oval(x, -36, 9, fill=(120, 120, 126))
    if look.night:
        art.oval(-60, -338, 50, fill=art.glow(LAMP))


KIND = Kind(
    "boat",
    draw,
    {"sailing": (449, 520), "motor": (480, 213), "fishing": (465, 331)},
    ("red", "blue", "yellow", "green", "white", "orange", "purple", "brown"),
)
