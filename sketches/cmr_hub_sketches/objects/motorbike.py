"""A motorbike from the side."""

from __future__ import annotations

from cmr_hub_sketches.colours import INK, LAMP, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look
from cmr_hub_sketches.objects.wheels import spoked_wheel


def draw(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for axle in (-72, 76):
        spoked_wheel(art, axle, 34, 15, darker(STEEL, 0.1))
        art.oval(axle, -34, 10, fill=art.ball(STEEL))
    art.stroke([(-72, -34), (-18, -40)], darker(STEEL, 0.35), 9)
    for line, width in ((INK, 9.0), (lighter(STEEL, 0.2), 5.0)):
        art.stroke([(76, -34), (44, -96)], line, width)
    art.blob(
        xy("-36 -26, -38 -56, -10 -64, 26 -62, 36 -40, 24 -22, -10 -18"),
        art.shade((84, 88, 98)),
        INK,
        3,
    )
    art.oval(-6, -36, 15, fill=art.ball(STEEL), line=INK, width=2.5)
    for fin in range(4):
        art.stroke([(8, -58 + fin * 7), (30, -58 + fin * 7)], lighter(STEEL, 0.2), 3)
    for line, width in ((INK, 12.0), (lighter(STEEL, 0.25), 8.0)):
        art.curve(xy("24 -48, 20 -22, -10 -16, -60 -20, -108 -26"), line, width)
    art.path(
        ("M-104 -66C-100 -86 -84 -92 -62 -88L-24 -82L-18 -66C-44 -62 -74 -60 -96 -58Z"),
        art.shade(colour),
        edge,
        3.5,
    )
    art.path(("M-96 -88C-80 -98 -60 -96 -44 -92C-34 -90 -26 -90 -18 -92L-14 -80L-64 -80Z"), INK)
    art.path(
        (
            "M-30 -82C-26 -102 -4 -112 20 -108C38 -104 46 -92 48 -82"
            "C36 -72 10 -68 -12 -70C-22 -72 -30 -76 -30 -82Z"
        ),
        art.shade(colour, 0.35),
        edge,
        3.5,
    )
    art.path("M-14 -96C-4 -104 10 -105 22 -102", None, lighter(colour, 0.7), 4)
    art.path("M40 -64A42 42 0 0 1 116 -46C104 -62 70 -70 48 -54Z", art.shade(colour), edge, 3)
    art.path(
        "M-112 -46A42 42 0 0 1 -52 -68L-56 -58C-80 -62 -96 -52 -104 -38Z",
        art.shade(colour),
        edge,
        3,
    )
    art.curve(xy("44 -96, 36 -116, 20 -122, 10 -118"), INK, 5)
    art.stroke([(20, -122), (6, -116)], INK, 7)
    art.path(
        "M44 -106C52 -122 60 -130 62 -132C66 -122 62 -110 56 -100Z", (210, 232, 242), INK, 2, 0.85
    )
    lamp = art.light(LAMP) if look.night else art.ball((255, 246, 214))
    art.oval(60, -94, 12, 13, lamp, INK, 3)
    art.oval(-106, -70, 6, 5, (206, 34, 38), INK, 2)
    if look.night:
        art.oval(64, -94, 42, fill=art.glow(LAMP))


KIND = Kind(
    "motorbike",
    draw,
    {"side": (226, 134)},
    ("red", "blue", "yellow", "green", "orange", "purple", "black", "white"),
)
