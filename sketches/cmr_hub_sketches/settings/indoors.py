"""Rooms, with a wall in the colour that sentences name, a floor and a window."""

from __future__ import annotations

from cmr_hub_sketches.colours import LAMP, RGB, darker, lighter, mix
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.settings.air import HEIGHT, WIDTH, Air, sky

FLOOR = 158
"""y of the edge between wall and floor."""


def living_room(art: Art, air: Air, wall: RGB) -> None:
    _shell(art, air, wall, (196, 148, 98))
    _window(art, air, 34, 26, 66, 76, curtains=(236, 226, 206))
    _planks(art, (196, 148, 98))
    _ceiling_lamp(art, air, 160)


def bedroom(art: Art, air: Air, wall: RGB) -> None:
    _shell(art, air, wall, (206, 190, 172))
    _window(art, air, 128, 24, 62, 66, curtains=(246, 240, 236))
    wood = (150, 106, 72)
    art.rect(214, 96, 8, 72, art.shade(wood), 3, darker(wood, 0.5), 1)
    art.rect(214, 98, 112, 44, art.shade(wood), 8, darker(wood, 0.5), 1.2)
    art.rect(220, 128, 110, 34, art.down((250, 248, 244), (220, 222, 230)), 8, (150, 150, 160), 1)
    art.rect(228, 118, 40, 18, (255, 255, 252), 8, (160, 160, 170), 1)
    art.path(
        ("M250 132C280 124 310 128 330 128L330 164L250 164C246 150 246 142 250 132Z"),
        art.shade((126, 158, 196)),
    )
    art.rect(222, 160, 8, 12, darker(wood, 0.2))


def kitchen(art: Art, air: Air, wall: RGB) -> None:
    _shell(art, air, wall, (214, 208, 200))
    for column in range(16):
        for row in range(3):
            art.rect(
                column * 20 + 0.5,
                78 + row * 13.4,
                19,
                12.4,
                art.down((252, 252, 252), (228, 234, 238)),
                1,
            )
    _window(art, air, 128, 16, 66, 58)
    wood = (226, 218, 204)
    for left in (6, 56, 222, 272):
        art.rect(left, 12, 46, 50, art.shade(wood), 3, darker(wood, 0.4), 1)
        art.rect(left + 6, 18, 34, 38, lighter(wood, 0.3), 2, darker(wood, 0.15), 0.8)
        art.oval(left + 38, 52, 1.8, fill=(120, 124, 130))
    art.rect(-2, 112, 326, 7, art.shade((120, 98, 84)), 2)
    art.rect(-2, 119, 326, 46, art.shade(wood), 0, darker(wood, 0.4), 1)
    for left in range(2, 320, 40):
        art.rect(left, 124, 36, 37, lighter(wood, 0.25), 2, darker(wood, 0.2), 0.8)
        art.rect(left + 12, 127, 12, 2, (120, 124, 130), 1)
    art.path("M150 112L150 98C150 90 164 90 164 98", None, (160, 166, 174), 3)
    art.rect(238, 102, 34, 10, art.round((70, 74, 84)), 3)
    art.stroke([(272, 105), (286, 105)], (50, 50, 56), 3)
    for row in range(5):
        art.stroke([(0, 168 + row * row * 4), (WIDTH, 168 + row * row * 4)], (186, 178, 168), 0.9)
    for column in range(-6, 14):
        art.stroke(
            [(160 + (column - 4) * 26, 165), (160 + (column - 4) * 60, HEIGHT)],
            (186, 178, 168),
            0.9,
        )


def office(art: Art, air: Air, wall: RGB) -> None:
    _shell(art, air, wall, (150, 158, 170))
    _window(art, air, 20, 22, 92, 78, blinds=True)
    wood = (176, 130, 90)
    for level in (42, 74):
        art.rect(206, level, 96, 5, art.shade(wood), 1, darker(wood, 0.5), 0.8)
        x = 210.0
        while x < 290:
            thick, tall = air.dice.uniform(5, 9), air.dice.uniform(15, 23)
            cover = air.dice.choice(
                [
                    (176, 70, 66),
                    (66, 104, 150),
                    (90, 140, 96),
                    (206, 168, 88),
                    (120, 90, 130),
                    (230, 226, 214),
                ]
            )
            art.rect(x, level - tall, thick, tall, art.round(cover, 0.15, 0.2), 0.8)
            x += thick + 0.6


def _shell(art: Art, air: Air, wall: RGB, floor: RGB) -> None:
    art.rect(0, 0, WIDTH, FLOOR, art.down(lighter(wall, 0.1), darker(wall, 0.07)))
    art.rect(
        0, FLOOR, WIDTH, HEIGHT - FLOOR + 2, art.down(darker(floor, 0.08), lighter(floor, 0.12))
    )
    art.rect(0, FLOOR - 7, WIDTH, 7, (248, 246, 240), 0, (180, 176, 170), 0.6)
    if air.night:
        art.oval(160, 20, 210, 170, art.glow((255, 226, 170), 0.32))


def _planks(art: Art, floor: RGB) -> None:
    line = darker(floor, 0.2)
    for step in range(-9, 10):
        art.stroke([(160 + step * 22, FLOOR), (160 + step * 56, HEIGHT)], line, 0.9, 0.7)


def _ceiling_lamp(art: Art, air: Air, x: float) -> None:
    art.stroke([(x, 0), (x, 14)], (90, 90, 96), 1.4)
    if air.night:
        art.oval(x, 26, 60, fill=art.glow(LAMP))
    shade = art.light((255, 240, 200)) if air.night else art.shade((246, 238, 220))
    art.path(f"M{x - 9} 13L{x + 9} 13L{x + 19} 28L{x - 19} 28Z", shade, (160, 150, 130), 1)


def _window(
    art: Art,
    air: Air,
    x: float,
    y: float,
    width: float,
    height: float,
    curtains: RGB | None = None,
    *,
    blinds: bool = False,
) -> None:
    view = f"M{x} {y}h{width}v{height}h{-width}Z"
    with art.inside(view), art.at(x, y, width / WIDTH):
        sky(art, air, HEIGHT * 1.9)
        green = mix((96, 150, 84), (16, 24, 48), 0.75 if air.night else 0)
        art.blob(
            [
                (-60, 460),
                (0, height * WIDTH / width * 0.78),
                (160, height * WIDTH / width * 0.7),
                (340, height * WIDTH / width * 0.8),
                (400, 460),
            ],
            art.light(green),
        )
    frame = (250, 249, 245)
    art.path(view, None, frame, 5)
    art.stroke([(x + width / 2, y), (x + width / 2, y + height)], frame, 3)
    art.stroke([(x, y + height * 0.45), (x + width, y + height * 0.45)], frame, 3)
    art.path(
        f"M{x - 2.5} {y - 2.5}h{width + 5}v{height + 5}h{-width - 5}Z", None, (150, 146, 140), 0.8
    )
    art.rect(x - 6, y + height + 2, width + 12, 5, frame, 1, (170, 166, 160), 0.8)
    if blinds:
        for row in range(5):
            art.rect(x, y + 2 + row * 6, width, 3.4, (240, 240, 236), 0, (170, 170, 170), 0.5)
    if curtains is not None:
        art.rect(x - 14, y - 9, width + 28, 3, (150, 110, 80), 1.5)
        middle, knot, end = height * 0.5 + 7, height * 0.7 + 7, height + 17
        shape = f"M0 0L22 0C21 {middle} 12 {knot} 14 {end}L0 {end}Z"
        for side, right in ((x - 12, False), (x + width + 12, True)):
            with art.at(side, y - 7, mirrored=right):
                art.path(shape, art.round(curtains, 0.2, 0.2), darker(curtains, 0.3), 0.8)
