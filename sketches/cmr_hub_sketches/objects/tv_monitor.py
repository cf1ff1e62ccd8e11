"""A television or a computer's monitor that shows a picture in one colour."""

from __future__ import annotations

from cmr_hub_sketches.colours import INK, RGB, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.objects.kind import Kind, Look

CASE = (44, 46, 52)
WOOD = (158, 112, 72)


def draw(art: Art, look: Look) -> None:
    {"television": _television, "monitor": _monitor, "old": _old}[look.pose](art, look)


def _television(art: Art, look: Look) -> None:
    for x in (-36, 36):
        art.limb([(x * 0.86, -10), (x, -1)], [4, 4], STEEL)
    art.rect(-62, -80, 124, 72, art.shade(CASE), 3.5, INK, 1.4)
    _screen(art, look.colour, -58, -76, 116, 62, look.dice.randrange(3))


def _monitor(art: Art, look: Look) -> None:
    art.path(
        "M-16 0C-14 -5 -6 -5 -5 -8L-5 -18L5 -18L5 -8C6 -5 14 -5 16 0Z", art.round(STEEL), INK, 1
    )
    art.rect(-36, -62, 72, 48, art.shade(CASE), 3, INK, 1.4)
    _screen(art, look.colour, -33, -59, 66, 39, look.dice.randrange(3))
    art.oval(0, -17, 1.3, fill=(120, 230, 140))


def _old(art: Art, look: Look) -> None:
    for x in (-22, 22):
        art.limb([(x, -10), (x * 1.25, -1)], [4.6, 3], (90, 60, 40))
        art.stroke([(0, -62), (x * 0.9, -88)], STEEL, 1.8)
        art.oval(x * 0.9, -88, 2.4, fill=STEEL)
    art.rect(-46, -64, 92, 56, art.shade(WOOD, 0.25), 6, darker(WOOD, 0.5), 1.6)
    art.rect(-42, -60, 66, 48, CASE, 9)
    _screen(art, look.colour, -39, -57, 60, 42, look.dice.randrange(3), radius=9)
    for y in (-50, -36):
        art.oval(34.5, y, 5.4, fill=art.ball(STEEL), line=INK, width=1)
        art.stroke([(34.5, y), (34.5, y - 4)], INK, 1.3)
    for y in (-26, -22, -18):
        art.stroke([(29, y), (40, y)], darker(WOOD, 0.5), 1.4)


def _screen(
    art: Art,
    colour: RGB,
    x: float,
    y: float,
    width: float,
    height: float,
    motif: int,
    radius: float = 1.5,
) -> None:
    """Draw a bright picture of hills, a ball or waves, in shades of one colour."""
    bright, dark = art.light(lighter(colour, 0.35)), art.light(darker(colour, 0.25))
    art.rect(x, y, width, height, art.down(bright, art.light(colour)), radius)
    right, bottom = x + width, y + height
    if motif == 0:
        art.oval(
            x + width * 0.72, y + height * 0.32, height * 0.13, fill=art.light(lighter(colour, 0.8))
        )
        art.polygon(
            [
                (x + 3, bottom - 2),
                (x + width * 0.35, y + height * 0.4),
                (x + width * 0.66, bottom - 2),
            ],
            dark,
        )
        art.polygon(
            [
                (x + width * 0.4, bottom - 2),
                (x + width * 0.72, y + height * 0.56),
                (right - 3, bottom - 2),
            ],
            art.light(darker(colour, 0.4)),
        )
    elif motif == 1:
        art.oval(x + width / 2, y + height / 2, height * 0.3, fill=art.light(lighter(colour, 0.75)))
        art.polygon(
            [
                (x + width / 2 - height * 0.09, y + height * 0.36),
                (x + width / 2 - height * 0.09, y + height * 0.64),
                (x + width / 2 + height * 0.17, y + height / 2),
            ],
            dark,
        )
    else:
        for row in range(3):
            top = y + height * (0.3 + 0.22 * row)
            points = [
                (x + width * (0.04 + 0.115 * step), top + (height * 0.06 if step % 2 else 0))
                for step in range(9)
            ]
            art.curve(points, art.light(lighter(colour, 0.75)) if row == 0 else dark, height * 0.06)
    art.polygon(
        [
            (x + 2, y + 2),
            (x + width * 0.3, y + 2),
            (x + width * 0.12, bottom - 2),
            (x + 2, bottom - 2),
        ],
        art.light((255, 255, 255)),
        opacity=0.16,
    )


KIND = Kind(
    "tv monitor",
    draw,
    {"television": (126, 82), "monitor": (74, 64), "old": (94, 92)},
    ("blue", "red", "green", "yellow", "orange", "purple", "pink", "grey"),
)
