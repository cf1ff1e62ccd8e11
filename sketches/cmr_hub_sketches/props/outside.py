"""Outdoor objects: on the ground or in the sky."""

from __future__ import annotations

import math

from cmr_hub_sketches.colours import COLOURS, GLASS, INK, LAMP, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look
from cmr_hub_sketches.settings import growth

WOOD = (150, 108, 70)
BRIGHT = ("red", "blue", "yellow", "green", "orange", "purple", "pink", "white")


def tree(art: Art, look: Look) -> None:
    growth.round_tree(art, 0, 0, 500, (92, 164, 76))


def fir_tree(art: Art, look: Look) -> None:
    growth.fir(art, 0, 0, 560, (58, 122, 86))


def palm_tree(art: Art, look: Look) -> None:
    art.limb(
        [(0, -22), (14, -180), (-4, -400)],
        [44, 32, 26],
        art.round((166, 124, 80)),
        (100, 72, 46),
        5,
    )
    for height in range(-360, -20, 44):
        art.stroke([(-2, height), (22, height - 6)], (120, 86, 54), 5, 0.7)
    for angle in (-120, 118, -84, 82, -46, 44, -8):
        bend = math.radians(angle)
        tip = (math.sin(bend) * 190, -400 - math.cos(bend) * 120 + 40)
        middle = (math.sin(bend) * 110, -430 - math.cos(bend) * 80)
        art.limb([(-4, -400), middle, tip], [20, 48, 6], (84, 158, 82), (40, 90, 50), 4)
    for x in (-20, 12):
        art.oval(x, -388, 17, fill=art.ball((120, 80, 50)))


def house(art: Art, look: Look) -> None:
    wall, edge = look.colour, darker(look.colour, 0.5)
    roof = (150, 74, 60) if look.colour != COLOURS["red"] else (92, 88, 100)
    art.rect(120, -560, 60, 120, art.shade((170, 100, 84)), 4, darker(roof, 0.5), 6)
    art.rect(-250, -330, 500, 330, art.shade(wall, 0.15, 0.15), 0, edge, 7)
    art.polygon(
        xy("-300 -320, -180 -520, 180 -520, 300 -320"),
        art.shade(roof),
        darker(roof, 0.5),
        7,
    )
    pane = art.light(LAMP) if look.night else art.down(lighter(GLASS, 0.3), darker(GLASS, 0.3))
    for x in (-200, 90):
        art.rect(x, -250, 110, 110, pane, 4, (250, 248, 242), 12)
        art.stroke([(x + 55, -250), (x + 55, -140)], (250, 248, 242), 9)
        art.stroke([(x, -195), (x + 110, -195)], (250, 248, 242), 9)
    art.rect(-50, -190, 92, 190, art.shade((112, 76, 52)), 6, (250, 248, 242), 9)
    art.oval(24, -96, 8, fill=(230, 200, 100))


def windmill(art: Art, look: Look) -> None:
    wall, edge = (240, 234, 220), (120, 104, 88)
    art.polygon(xy("-110 0, -66 -440, 66 -440, 110 0"), art.round(wall, 0.2, 0.25), edge, 7)
    art.path("M-76 -436C-70 -530 70 -530 76 -436Z", art.shade((140, 76, 60)), (80, 44, 36), 7)
    art.rect(-36, -130, 72, 130, (112, 76, 52), 8, edge, 6)
    pane = art.light(LAMP) if look.night else (120, 150, 176)
    art.rect(-26, -320, 52, 66, pane, 6, edge, 6)
    for quarter in range(4):
        with art.at(0, -450, turn=28 + 90 * quarter):
            art.stroke([(0, 0), (0, -320)], (110, 80, 56), 13)
            art.rect(4, -320, 66, 240, (246, 240, 226), 0, (150, 126, 100), 5, 0.95)
            for bar in range(-290, -80, 50):
                art.stroke([(4, bar), (70, bar)], (150, 126, 100), 4)
    art.oval(0, -450, 20, fill=(90, 64, 46))


def lighthouse(art: Art, look: Look) -> None:
    tower = "M-70 0L-46 -500L46 -500L70 0Z"
    art.path("M-200 10C-180 -70 180 -70 200 10Z", art.shade((120, 116, 116)))
    art.path(tower, art.round((246, 244, 238), 0.2, 0.25), (110, 100, 100), 6)
    with art.inside(tower):
        for band in (-430, -270, -110):
            art.rect(-80, band, 160, 80, art.round(look.colour, 0.2, 0.25))
    art.rect(-64, -516, 128, 18, INK, 4)
    if look.night:
        art.oval(0, -552, 210, fill=art.glow((255, 240, 180)))
    art.rect(
        -36,
        -590,
        72,
        76,
        art.light((255, 236, 160)) if look.night else art.down(lighter(GLASS, 0.4), GLASS),
        4,
        INK,
        6,
    )
    art.path("M-46 -588C-40 -650 40 -650 46 -588Z", art.shade(look.colour), INK, 6)


def street_lamp(art: Art, look: Look) -> None:
    iron = (58, 64, 70)
    art.path("M-20 0L-12 -30L12 -30L20 0Z", iron)
    art.rect(-6, -340, 12, 320, art.round(iron))
    if look.night:
        art.oval(0, -376, 150, fill=art.glow((255, 224, 140)))
    lamp = art.light((255, 238, 176)) if look.night else art.down((250, 248, 232), (214, 214, 200))
    art.polygon(xy("-22 -346, 22 -346, 32 -404, -32 -404"), lamp, iron, 6)
    art.path("M-38 -404L0 -436L38 -404Z", iron)


def bench(art: Art, look: Look) -> None:
    wood, edge = look.colour, darker(look.colour, 0.5)
    for x in (-70, 70):
        art.stroke([(x, 0), (x, -42), (x * 1.02, -88)], (60, 62, 68), 7)
        art.stroke([(x * 1.1, 0), (x * 1.05, -42)], (60, 62, 68), 6)
    for y in (-90, -72):
        art.rect(-88, y, 176, 13, art.shade(wood), 3, edge, 2.4)
    art.rect(-92, -48, 184, 12, art.shade(wood, 0.3), 3, edge, 2.4)


def flowers(art: Art, look: Look) -> None:
    petal = look.colour
    places = xy("-70 0, -42 -8, -14 2, 16 -8, 44 2, 72 -4")
    for x, y in places:
        tall = look.dice.uniform(38, 58)
        art.curve([(x, y), (x + 3, y - tall / 2), (x, y - tall)], (70, 140, 66), 4)
        art.limb([(x, y - 6), (x + 14, y - 22)], [3, 8], (84, 156, 74))
        art.limb([(x, y - 10), (x - 13, y - 24)], [3, 8], (84, 156, 74))
        for turn in range(5):
            angle = math.tau * turn / 5 - math.pi / 2
            art.oval(
                x + 9 * math.cos(angle),
                y - tall + 9 * math.sin(angle),
                7.6,
                fill=petal,
                line=darker(petal, 0.3),
                width=1.4,
            )
        art.oval(
            x, y - tall, 6, fill=(250, 200, 70) if petal != COLOURS["yellow"] else (150, 92, 40)
        )


def bush(art: Art, look: Look) -> None:
    green = (88, 150, 76)
    art.blob(
        xy("-90 -6, -96 -50, -60 -88, -20 -84, 10 -104, 56 -86, 92 -54, 88 -6"),
        art.ball(green, 0.25, 0.2),
        darker(green, 0.4),
        3,
    )
    for x, y in ((-50, -60), (-10, -74), (34, -70), (-24, -36), (50, -40)):
        art.path(f"M{x - 12} {y}A12 12 0 0 1 {x + 12} {y}", None, lighter(green, 0.3), 4, 0.7)


def rock(art: Art, look: Look) -> None:
    stone = (150, 150, 156)
    art.polygon(
        xy("-70 0, -62 -40, -24 -70, 22 -64, 58 -36, 72 0"),
        art.shade(stone, 0.25, 0.25),
        darker(stone, 0.45),
        3,
    )
    art.polygon(xy("-24 -70, 22 -64, 10 -36, -30 -34"), lighter(stone, 0.25), opacity=0.7)


def haystack(art: Art, look: Look) -> None:
    hay = (226, 188, 92)
    art.oval(0, -70, 78, 70, art.ball(hay, 0.25, 0.2), darker(hay, 0.4), 4)
    for size in (58, 38, 18):
        art.oval(0, -70, size, size * 0.9, None, darker(hay, 0.25), 4)


def cactus(art: Art, look: Look) -> None:
    green = (80, 146, 90)
    edge = darker(green, 0.45)
    for side, joint in ((-1, -120), (1, -160)):
        art.limb(
            [(0, joint), (side * 60, joint - 6), (side * 62, joint - 90)],
            [36, 36, 32],
            art.round(green),
            edge,
            4,
        )
    art.limb([(0, -31), (0, -290)], [62, 54], art.round(green), edge, 4)
    for x in (-14, 2, 16):
        art.stroke([(x, -280), (x, -10)], darker(green, 0.2), 3)


def snowman(art: Art, look: Look) -> None:
    white, edge = (250, 252, 255), (150, 166, 190)
    for y, size in ((-42, 46), (-108, 33), (-156, 23)):
        art.oval(0, y, size, fill=art.ball(white, 0.1, 0.16), line=edge, width=2.4)
    for x in (-8, 8):
        art.oval(x, -161, 3, fill=INK)
    art.polygon([(0, -155), (26, -150), (0, -148)], (240, 130, 38))
    art.limb([(-22, -136), (22, -136)], [11, 11], look.colour, darker(look.colour, 0.4), 2)
    art.limb([(14, -134), (18, -104)], [10, 10], look.colour, darker(look.colour, 0.4), 2)
    art.rect(-17, -208, 34, 30, INK, 2)
    art.rect(-27, -182, 54, 6, INK, 3)
    for side in (-1, 1):
        art.stroke([(side * 30, -114), (side * 64, -140)], (104, 76, 52), 4)
    for y in (-118, -104):
        art.oval(0, y, 3, fill=INK)


def parasol(art: Art, look: Look) -> None:
    art.rect(-3, -210, 6, 210, art.round((220, 214, 200)))
    dome = (
        "M-120 -176C-110 -236 -50 -262 0 -262C50 -262 110 -236 120 -176"
        "C104 -190 88 -190 72 -178C54 -192 40 -192 24 -178"
        "C8 -192 -8 -192 -24 -178C-40 -192 -54 -192 -72 -178"
        "C-88 -190 -104 -190 -120 -176Z"
    )
    art.path(dome, art.shade(look.colour, 0.25), darker(look.colour, 0.5), 3)
    with art.inside(dome):
        for left, right in ((-72, -24), (24, 72)):
            art.path(
                f"M{left} -176C{left * 0.8} -220 {left * 0.4} -250 0 -264"
                f"C{right * 0.4} -250 {right * 0.8} -220 {right} -176Z",
                (252, 250, 244),
            )
    art.oval(0, -264, 5, fill=(250, 250, 246))


def ball(art: Art, look: Look) -> None:
    art.oval(0, -16, 16, fill=art.ball(look.colour), line=darker(look.colour, 0.5), width=1.2)
    art.path("M-14 -24C-4 -18 6 -18 14 -24M-14 -8C-4 -14 6 -14 14 -8", None, (252, 252, 248), 2.6)


def tent(art: Art, look: Look) -> None:
    with art.at(-20):
        _tent(art, look)


def _tent(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    art.polygon(xy("-40 -150, 110 -140, 170 0, 50 0"), art.shade(darker(colour, 0.18)), edge, 3)
    art.polygon([(-40, -150), (50, 0), (-130, 0)], art.shade(colour, 0.2), edge, 3)
    inside = art.light((255, 214, 130)) if look.night else darker(colour, 0.6)
    art.polygon([(-40, -112), (0, 0), (-76, 0)], inside, edge, 2)


def fence(art: Art, look: Look) -> None:
    paint, edge = look.colour, darker(look.colour, 0.4)
    for y in (-66, -32):
        art.rect(-150, y, 300, 12, art.shade(paint), 2, edge, 2)
    for x in range(-140, 150, 40):
        art.path(
            f"M{x - 11} 0L{x - 11} -84L{x} -98L{x + 11} -84L{x + 11} 0Z",
            art.shade(paint, 0.2),
            edge,
            2,
        )


def balloon(art: Art, look: Look) -> None:
    with art.at(0, -24):
        _balloon(art, look)


def _balloon(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.45)
    hull = (
        "M0 -300C96 -300 132 -220 120 -160C108 -110 60 -80 36 -44L-36 -44"
        "C-60 -80 -108 -110 -120 -160C-132 -220 -96 -300 0 -300Z"
    )
    art.path(hull, art.ball(colour, 0.35, 0.2), edge, 5)
    art.path(
        "M0 -300C44 -260 44 -120 16 -44L-16 -44C-44 -120 -44 -260 0 -300Z",
        lighter(colour, 0.6),
        opacity=0.85,
    )
    for x in (-28, 28):
        art.stroke([(x, -44), (x * 0.7, -10)], (110, 84, 60), 3)
    art.rect(-24, -12, 48, 34, art.shade((176, 126, 76)), 5, (96, 64, 36), 4)
    if look.night:
        art.oval(0, -60, 60, fill=art.glow((255, 200, 110)))


def kite(art: Art, look: Look) -> None:
    with art.at(0, -126):
        _kite(art, look)


def _kite(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    art.curve(xy("0 0, -22 34, 6 62, -16 96, -2 124"), edge, 3)
    for x, y in ((-18, 34), (2, 64), (-12, 96)):
        art.polygon(
            [(x - 12, y - 7), (x + 12, y + 7), (x + 12, y - 7), (x - 12, y + 7)],
            lighter(colour, 0.3),
            edge,
            1.4,
        )
    with art.at(0, -60, turn=14):
        art.polygon(xy("0 -70, 46 -8, 0 66, -46 -8"), art.shade(colour, 0.3), edge, 4)
        art.polygon([(0, -70), (46, -8), (0, -8)], lighter(colour, 0.45))
        art.polygon([(0, 66), (-46, -8), (0, -8)], darker(colour, 0.18))


def rainbow(art: Art, look: Look) -> None:
    for band, name in enumerate(("red", "orange", "yellow", "green", "blue", "purple")):
        size = 300 - band * 16
        art.path(f"M{-size} 0A{size} {size} 0 0 1 {size} 0", None, COLOURS[name], 16.6, 0.62)


def buoy(art: Art, look: Look) -> None:
    art.polygon(
        xy("-26 6, -12 -60, 12 -60, 26 6"),
        art.round(look.colour),
        darker(look.colour, 0.5),
        3,
    )
    art.rect(-21, -26, 42, 14, (250, 248, 240))
    art.oval(0, -68, 9, fill=art.light(LAMP) if look.night else STEEL, line=INK, width=2.4)


def bin_(art: Art, look: Look) -> None:
    art.polygon(
        xy("-26 -80, 26 -80, 20 0, -20 0"),
        art.round(look.colour),
        darker(look.colour, 0.5),
        2.6,
    )
    for x in (-10, 0, 10):
        art.stroke([(x, -66), (x * 0.85, -8)], darker(look.colour, 0.3), 2.4)
    art.rect(
        -31, -90, 62, 12, art.round(darker(look.colour, 0.15)), 5, darker(look.colour, 0.5), 2.4
    )


PROPS = (
    Kind("tree", tree, {"": (380, 503)}, ()),
    Kind("fir tree", fir_tree, {"": (340, 560)}, ()),
    Kind("palm tree", palm_tree, {"": (388, 540)}, ()),
    Kind(
        "house",
        house,
        {"": (600, 560)},
        ("white", "yellow", "blue", "red", "pink", "green", "orange"),
    ),
    Kind("windmill", windmill, {"": (577, 745)}, ()),
    Kind("lighthouse", lighthouse, {"": (400, 650)}, ("red", "blue", "green", "orange")),
    Kind("street lamp", street_lamp, {"": (76, 436)}, ()),
    Kind("bench", bench, {"": (190, 94)}, ("brown", "green", "red", "blue", "white")),
    Kind(
        "flowers",
        flowers,
        {"": (180, 84)},
        ("red", "blue", "yellow", "orange", "purple", "pink", "white"),
    ),
    Kind("bush", bush, {"": (214, 106)}, ()),
    Kind("rock", rock, {"": (142, 72)}, ()),
    Kind("haystack", haystack, {"": (158, 142)}, ()),
    Kind("cactus", cactus, {"": (168, 320)}, ()),
    Kind("snowman", snowman, {"": (130, 210)}, ("red", "blue", "green", "yellow", "purple")),
    Kind(
        "parasol",
        parasol,
        {"": (240, 268)},
        ("red", "blue", "green", "yellow", "orange", "purple", "pink"),
    ),
    Kind(
        "ball", ball, {"": (32, 32)}, ("red", "blue", "green", "yellow", "orange", "purple", "pink")
    ),
    Kind("tent", tent, {"": (300, 152)}, ("red", "blue", "green", "yellow", "orange", "purple")),
    Kind("fence", fence, {"": (300, 98)}, ("white", "brown", "green", "blue")),
    Kind("hot-air balloon", balloon, {"": (250, 326)}, BRIGHT),
    Kind("kite", kite, {"": (96, 256)}, BRIGHT),
    Kind("rainbow", rainbow, {"": (610, 308)}, ()),
    Kind("buoy", buoy, {"": (54, 78)}, ("red", "orange", "yellow", "green")),
    Kind("bin", bin_, {"": (62, 90)}, ("green", "blue", "grey", "red", "yellow")),
)
