"""Indoor objects: on walls, on the floor, on a table."""

from __future__ import annotations

import math

from cmr_hub_sketches.colours import COLOURS, INK, LAMP, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look

GAY = ("red", "blue", "yellow", "green", "orange", "purple", "pink")
WOOD = (150, 104, 66)


def picture(art: Art, look: Look) -> None:
    art.rect(-40, -60, 80, 60, art.shade(WOOD, 0.25), 1, darker(WOOD, 0.5), 1.6)
    art.rect(-34, -54, 68, 48, (252, 250, 244))
    art.rect(-30, -50, 60, 40, art.down(lighter(look.colour, 0.4), look.colour))
    art.oval(14, -38, 6, fill=lighter(look.colour, 0.8))
    art.polygon(xy("-30 -10, -10 -34, 8 -16, 16 -24, 30 -10"), darker(look.colour, 0.35))


def clock(art: Art, look: Look) -> None:
    art.oval(0, -25, 25, fill=art.ball(look.colour), line=darker(look.colour, 0.5), width=1.6)
    art.oval(0, -25, 20, fill=(252, 251, 246))
    for hour in range(12):
        angle = math.tau * hour / 12
        start, end = (16.0, 18.4)
        art.stroke(
            [
                (start * math.cos(angle), -25 + start * math.sin(angle)),
                (end * math.cos(angle), -25 + end * math.sin(angle)),
            ],
            INK,
            1.4,
        )
    hand = math.tau * look.dice.random()
    art.stroke([(0, -25), (10 * math.cos(hand), -25 + 10 * math.sin(hand))], INK, 2.4)
    art.stroke([(0, -25), (15 * math.cos(hand * 12), -25 + 15 * math.sin(hand * 12))], INK, 1.5)
    art.oval(0, -25, 2, fill=COLOURS["red"])


def floor_lamp(art: Art, look: Look) -> None:
    art.path("M-17 0C-17 -5 17 -5 17 0Z", INK)
    art.rect(-1.6, -132, 3.2, 130, INK)
    if look.night:
        art.oval(0, -138, 70, fill=art.glow(LAMP))
    shade = art.light(lighter(look.colour, 0.4)) if look.night else art.round(look.colour)
    art.polygon(xy("-15 -164, 15 -164, 26 -124, -26 -124"), shade, darker(look.colour, 0.5), 1.6)


def table_lamp(art: Art, look: Look) -> None:
    art.path(
        ("M-7 0C-7 -3 -2.4 -4 -2.4 -8C-7 -11 -6 -19 0 -20C6 -19 7 -11 2.4 -8C2.4 -4 7 -3 7 0Z"),
        art.round((226, 214, 194)),
        (130, 110, 90),
        0.7,
    )
    if look.night:
        art.oval(0, -26, 30, fill=art.glow(LAMP))
    shade = art.light(lighter(look.colour, 0.4)) if look.night else art.round(look.colour)
    art.polygon(xy("-7 -36, 7 -36, 13 -20, -13 -20"), shade, darker(look.colour, 0.5), 0.8)


def rug(art: Art, look: Look) -> None:
    edge = darker(look.colour, 0.4)
    art.oval(0, -22, 130, 22, art.shade(look.colour, 0.15, 0.1), edge, 2)
    art.oval(0, -22, 108, 16.6, None, lighter(look.colour, 0.6), 3)
    art.oval(0, -22, 70, 10, lighter(look.colour, 0.3), lighter(look.colour, 0.6), 1.4)


def bookshelf(art: Art, look: Look) -> None:
    art.rect(-42, -180, 84, 180, art.shade(WOOD), 2, darker(WOOD, 0.5), 2)
    for level in range(4):
        bottom = -8 - level * 43
        art.rect(-37, bottom - 36, 74, 36, darker(WOOD, 0.45))
        x = -35.0
        while x < 28:
            thick, tall = look.dice.uniform(5, 9), look.dice.uniform(22, 33)
            cover = COLOURS[look.dice.choice(GAY)]
            art.rect(x, bottom - tall, thick, tall, art.round(darker(cover, 0.12), 0.15, 0.2), 0.8)
            x += thick + 0.7


def mug(art: Art, look: Look) -> None:
    edge = darker(look.colour, 0.5)
    with art.at(-2.3):
        for line, width in ((edge, 2.6), (look.colour, 1.5)):
            art.path("M4.6 -8C10 -9 10 -2 4.6 -2.4", None, line, width)
        body = "M-5 -10L5 -10L4.5 -0.8C4.4 0 -4.4 0 -4.5 -0.8Z"
        art.path(body, art.round(look.colour), edge, 0.6)
        art.oval(0, -10, 5, 1.4, (96, 62, 44), edge, 0.6)


def apples(art: Art, look: Look) -> None:
    for x, y in ((-6, -8), (6, -8), (0, -10), (-2.6, -12.6), (4, -12)):
        art.oval(x, y, 4.4, fill=art.ball(look.colour), line=darker(look.colour, 0.5), width=0.5)
        art.stroke([(x, y - 4), (x + 0.8, y - 6)], (96, 66, 44), 0.7)
    bowl = (230, 234, 242)
    art.path(
        "M-13 -8L13 -8C12 -1.6 6 0 3.4 0L-3.4 0C-6 0 -12 -1.6 -13 -8Z",
        art.round(bowl),
        (120, 130, 148),
        0.6,
    )


def books(art: Art, look: Look) -> None:
    for level, (width, shift) in enumerate(((24, 0), (21, 1.5), (22, -1))):
        cover = look.colour
        y = -3.6 - level * 3.7
        art.rect(-width / 2 + shift, y, width, 3.6, art.shade(cover), 0.6, darker(cover, 0.5), 0.5)
        art.rect(width / 2 + shift - 1.4, y + 0.7, 1.4, 2.2, (250, 246, 232))
        art.stroke(
            [(-width / 2 + shift + 3, y + 0.6), (-width / 2 + shift + 3, y + 3)],
            lighter(cover, 0.6),
            0.7,
        )


def glass(art: Art, look: Look) -> None:
    art.path(
        "M-4 -12L4 -12L3.4 -0.6C3.3 0 -3.3 0 -3.4 -0.6Z", (226, 240, 248), (110, 136, 156), 0.6, 0.8
    )
    art.path(
        "M-3.8 -8.6L3.8 -8.6L3.4 -0.8C3.3 -0.2 -3.3 -0.2 -3.4 -0.8Z", (160, 206, 234), opacity=0.9
    )
    art.stroke([(-2.4, -10.6), (-2, -2)], (255, 255, 255), 0.7, 0.9)


def vase(art: Art, look: Look) -> None:
    for dx, dy in ((-7, -21), (0, -25), (7, -22)):
        art.stroke([(0, -10), (dx, dy)], (70, 140, 70), 1)
        for turn in range(5):
            angle = math.tau * turn / 5
            art.oval(
                dx + 2.4 * math.cos(angle),
                dy + 2.4 * math.sin(angle),
                2.1,
                fill=look.colour,
                line=darker(look.colour, 0.35),
                width=0.4,
            )
        art.oval(dx, dy, 1.7, fill=(250, 206, 80))
    art.path(
        "M-3 -13L3 -13C1.6 -10 5 -7 3.6 0L-3.6 0C-5 -7 -1.6 -10 -3 -13Z",
        art.round((228, 232, 240)),
        (120, 128, 144),
        0.6,
    )


PROPS = (
    Kind("picture", picture, {"": (80, 60)}, GAY),
    Kind("clock", clock, {"": (50, 50)}, ("red", "blue", "black", "green", "yellow", "orange")),
    Kind(
        "floor lamp",
        floor_lamp,
        {"": (54, 166)},
        ("red", "yellow", "blue", "green", "orange", "white", "pink"),
    ),
    Kind(
        "table lamp",
        table_lamp,
        {"": (27, 37)},
        ("red", "yellow", "blue", "green", "orange", "white", "pink"),
    ),
    Kind("rug", rug, {"": (262, 44)}, GAY),
    Kind("bookshelf", bookshelf, {"": (86, 182)}, ()),
    Kind(
        "mug",
        mug,
        {"": (15, 12)},
        ("red", "blue", "yellow", "green", "white", "orange", "purple", "pink"),
    ),
    Kind("apples", apples, {"": (27, 18)}, ("red", "green", "yellow")),
    Kind("books", books, {"": (24, 12)}, ("red", "blue", "green", "brown", "purple", "orange")),
    Kind("glass", glass, {"": (9, 13)}, ()),
    Kind("vase", vase, {"": (23, 30)}, ("red", "yellow", "pink", "purple", "white", "blue")),
)
