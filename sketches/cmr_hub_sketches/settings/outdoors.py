"""Outdoor settings, drawn from the sky down to the foreground."""

from __future__ import annotations

from cmr_hub_sketches.colours import LAMP, RGB, darker, lighter, mix
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.settings.air import HEIGHT, WIDTH, Air, cloud, sky
from cmr_hub_sketches.settings.growth import fir, ridge, round_tree, tufts

GRASS = (116, 178, 84)
FIR = (52, 108, 80)
SAND = (238, 212, 158)
SNOW = (240, 244, 250)
WATER = (58, 134, 188)
ASPHALT = (98, 102, 112)


def high_sky(art: Art, air: Air) -> None:
    sky(art, air, HEIGHT)
    pale = (74, 84, 116) if air.night else (250, 251, 253)
    for x in range(-20, 360, 48):
        cloud(art, x + air.dice.uniform(-12, 12), 238 + air.dice.uniform(-8, 8), 1.7, pale)


def sea(art: Art, air: Air) -> None:
    sky(art, air, 108)
    _water(art, air, 106, HEIGHT)


def lake(art: Art, air: Air) -> None:
    sky(art, air, 104)
    ridge(art, air.dice, 84, 12, mix(FIR, (140, 170, 190), 0.45), 120)
    ridge(art, air.dice, 100, 5, (98, 156, 84), 124)
    for x in range(6, 320, 17):
        fir(art, x + air.dice.uniform(-5, 5), 118, air.dice.uniform(16, 30), FIR)
    _water(art, air, 116, HEIGHT)
    for x in (*range(2, 40, 6), *range(284, 320, 6)):
        lean = air.dice.uniform(-5, 5)
        art.stroke([(x, 242), (x + lean, 242 - air.dice.uniform(14, 32))], (92, 140, 74), 2)


def beach(art: Art, air: Air) -> None:
    sky(art, air, 92)
    _water(art, air, 90, 150)
    art.path(
        "M0 146C60 136 120 152 180 142C230 134 280 146 320 140L320 160L0 160Z",
        (236, 246, 250),
        opacity=0.9,
    )
    art.path(
        "M0 151C60 141 120 157 180 147C230 139 280 151 320 145L320 242L0 242Z",
        art.down(SAND, darker(SAND, 0.1)),
    )
    for _ in range(46):
        art.oval(
            air.dice.uniform(0, WIDTH),
            air.dice.uniform(160, 238),
            air.dice.uniform(0.6, 1.6),
            0.7,
            darker(SAND, 0.2),
            opacity=0.7,
        )


def meadow(art: Art, air: Air) -> None:
    sky(art, air, 118)
    ridge(art, air.dice, 106, 7, mix(GRASS, (120, 170, 170), 0.4), 130)
    _ground(art, 118, GRASS)
    tufts(art, air.dice, 126, 238, GRASS, 60)
    for _ in range(40):
        y = air.dice.uniform(132, 238)
        art.oval(air.dice.uniform(0, WIDTH), y, (y - 110) / 70, fill=(250, 250, 240))


def hills(art: Art, air: Air) -> None:
    sky(art, air, 124)
    ridge(art, air.dice, 78, 16, mix(GRASS, (130, 170, 190), 0.5), 140)
    ridge(art, air.dice, 100, 13, mix(GRASS, (110, 160, 120), 0.35), 150)
    for _ in range(8):
        round_tree(
            art, air.dice.uniform(0, WIDTH), 122, air.dice.uniform(14, 24), darker(GRASS, 0.25)
        )
    ridge(art, air.dice, 124, 5, GRASS, 236)
    art.rect(0, 200, WIDTH, 42, darker(GRASS, 0.16))
    tufts(art, air.dice, 138, 238, GRASS)


def mountains(art: Art, air: Air) -> None:
    sky(art, air, 124)
    rock = (128, 138, 158)
    for x, top, half in ((40, 40, 96), (262, 34, 104), (150, 22, 110)):
        shift = air.dice.uniform(-18, 18)
        peak = (x + shift, top + air.dice.uniform(-6, 8))
        art.polygon([peak, (peak[0] + half, 128), (peak[0] - half, 128)], art.shade(rock, 0.2, 0.2))
        art.polygon(
            [peak, (peak[0] + half, 128), (peak[0] + half * 0.2, 128), (peak[0] + half * 0.06, 80)],
            darker(rock, 0.25),
            opacity=0.6,
        )
        cap = 0.36
        drop = (128 - peak[1]) * cap
        art.polygon(
            [
                peak,
                (peak[0] + half * cap, peak[1] + drop),
                (peak[0] + half * cap * 0.4, peak[1] + drop * 0.75),
                (peak[0], peak[1] + drop * 1.15),
                (peak[0] - half * cap * 0.45, peak[1] + drop * 0.72),
                (peak[0] - half * cap, peak[1] + drop),
            ],
            (250, 252, 255),
        )
    for x in range(0, 330, 13):
        fir(art, x + air.dice.uniform(-4, 4), 130, air.dice.uniform(14, 26), FIR)
    _ground(art, 126, (122, 172, 92))
    tufts(art, air.dice, 136, 238, GRASS)


def forest(art: Art, air: Air) -> None:
    sky(art, air, 110)
    art.rect(0, 60, WIDTH, 70, art.fade((70, 116, 88), 0.2, 1))
    for depth, (base, height, count) in enumerate(((124, 84, 12), (134, 116, 9))):
        green = mix(FIR, (120, 160, 130), 0.4 - 0.3 * depth)
        for step in range(count):
            x = (step + 0.5) * WIDTH / count + air.dice.uniform(-9, 9)
            size = height * air.dice.uniform(0.8, 1.15)
            if air.dice.random() < 0.6:
                fir(art, x, base, size, green)
            else:
                round_tree(art, x, base, size, lighter(green, 0.12))
    _ground(art, 126, (104, 140, 74))
    tufts(art, air.dice, 134, 238, (92, 128, 66), 50)
    for _ in range(14):
        art.oval(
            air.dice.uniform(0, WIDTH),
            air.dice.uniform(150, 236),
            4,
            1.6,
            (150, 110, 66),
            opacity=0.6,
        )


def desert(art: Art, air: Air) -> None:
    sky(art, air, 120)
    stone = (206, 128, 88)
    for _ in range(2):
        x, half = air.dice.uniform(20, 300), air.dice.uniform(26, 46)
        art.polygon(
            [(x - half, 122), (x - half * 0.7, 82), (x + half * 0.66, 80), (x + half, 122)],
            art.shade(stone, 0.15, 0.25),
        )
        art.stroke([(x - half * 0.8, 98), (x + half * 0.78, 96)], darker(stone, 0.2), 2)
    ridge(art, air.dice, 116, 7, (232, 186, 118), 150)
    ridge(art, air.dice, 136, 6, (238, 196, 130), 236)
    art.rect(0, 205, WIDTH, 37, art.fade((206, 152, 92), 0, 0.8))
    for _ in range(9):
        x, y = air.dice.uniform(0, 290), air.dice.uniform(150, 234)
        art.curve([(x, y), (x + 18, y - 3), (x + 38, y)], darker((238, 196, 130), 0.16), 1.4, 0.7)


def snow(art: Art, air: Air) -> None:
    sky(art, air, 116)
    ridge(art, air.dice, 96, 12, mix(SNOW, (170, 190, 214), 0.5), 130)
    for x in range(4, 330, 19):
        fir(
            art,
            x + air.dice.uniform(-6, 6),
            124 + air.dice.uniform(-2, 2),
            air.dice.uniform(22, 46),
            FIR,
            snowy=True,
        )
    art.path(
        "M0 122C70 114 150 126 220 117C260 113 300 120 320 118L320 242L0 242Z",
        art.down(SNOW, (206, 220, 238)),
    )
    for _ in range(7):
        left, y = air.dice.uniform(-20, 290), air.dice.uniform(146, 234)
        art.curve([(left, y), (left + 24, y - 4), (left + 52, y)], (196, 212, 234), 2, 0.8)


def street(art: Art, air: Air) -> None:
    sky(art, air, 140)
    walls = [
        (206, 134, 104),
        (226, 200, 150),
        (170, 184, 196),
        (196, 108, 96),
        (150, 170, 150),
        (222, 214, 200),
    ]
    air.dice.shuffle(walls)
    left = -12.0
    for wall in walls:
        width = air.dice.uniform(52, 72)
        _facade(art, air, left, width, air.dice.uniform(92, 134), wall)
        left += width
        if left > WIDTH:
            break
    art.rect(0, 152, WIDTH, 22, art.down((196, 194, 190), (172, 170, 168)))
    for joint in range(8, 330, 24):
        art.stroke([(joint, 154), (joint - 6, 173)], (150, 148, 148), 0.8)
    art.rect(0, 173, WIDTH, 5, (130, 130, 134))
    art.rect(0, 177, WIDTH, 64, art.down(ASPHALT, darker(ASPHALT, 0.2)))
    for dash in range(-10, 330, 46):
        art.polygon(
            [(dash + 4, 226), (dash + 26, 226), (dash + 22, 231), (dash - 2, 231)], (238, 236, 226)
        )


def _facade(art: Art, air: Air, x: float, width: float, height: float, wall: RGB) -> None:
    base, top = 154.0, 154 - height
    art.rect(x, top, width, height, art.shade(wall, 0.12, 0.12), 0, darker(wall, 0.45), 1)
    art.rect(x - 2, top - 5, width + 4, 7, darker(wall, 0.3), 1)
    columns = 3 if width > 60 else 2
    gap = width / columns
    for row in range(int((height - 40) // 27) + 1):
        for column in range(columns):
            lit = air.night and air.dice.random() < 0.6
            pane = art.light(LAMP) if lit else art.down((196, 220, 236), (120, 150, 178))
            art.rect(
                x + gap * (column + 0.5) - 6,
                top + 10 + row * 27,
                12,
                17,
                pane,
                1,
                darker(wall, 0.5),
                1.2,
            )
    shop = art.light((255, 236, 180)) if air.night else art.down((206, 226, 238), (140, 166, 190))
    art.rect(x + 6, base - 24, width * 0.52, 20, shop, 1, darker(wall, 0.55), 1.4)
    awning = air.dice.choice([(190, 60, 60), (60, 110, 150), (70, 130, 90), (220, 170, 70)])
    left, right = x + 3, x + 9 + width * 0.52
    for stripe in range(6):
        start, end = left + (right - left) * stripe / 6, left + (right - left) * (stripe + 1) / 6
        art.polygon(
            [(start + 1, base - 31), (end + 1, base - 31), (end, base - 22), (start, base - 22)],
            awning if stripe % 2 else (246, 242, 234),
        )
    art.rect(
        x + width * 0.72, base - 28, 13, 27, art.shade(darker(wall, 0.5)), 1, darker(wall, 0.65), 1
    )


def park(art: Art, air: Air) -> None:
    sky(art, air, 116)
    for step in range(14):
        height, tall = air.dice.uniform(22, 60), step * 24 - 6 + air.dice.uniform(-4, 4)
        block = mix((150, 164, 184), (196, 206, 220), air.dice.random())
        art.rect(tall, 116 - height, 20, height + 6, block)
        for window in range(3):
            if air.night and air.dice.random() < 0.7:
                art.rect(
                    tall + 3 + window * 5,
                    122 - height + air.dice.uniform(0, 20),
                    2.6,
                    3.4,
                    art.light(LAMP),
                )
    for x in range(-4, 330, 21):
        round_tree(
            art,
            x + air.dice.uniform(-5, 5),
            128,
            air.dice.uniform(28, 44),
            mix((84, 150, 76), (130, 180, 84), air.dice.random()),
        )
    lawn = (132, 190, 92)
    _ground(art, 124, lawn)
    art.path(
        "M140 126C190 150 40 172 96 242L236 242C150 186 214 150 164 126Z",
        art.down((226, 208, 172), (206, 186, 148)),
    )
    tufts(art, air.dice, 132, 238, lawn, 30)


def farm(art: Art, air: Air) -> None:
    sky(art, air, 118)
    ridge(art, air.dice, 100, 8, mix(GRASS, (140, 180, 170), 0.4), 130)
    _ground(art, 116, (150, 186, 92))
    for row in range(5):
        y = 120 + row * row * 1.3
        art.rect(0, y, WIDTH, 2 + row * 0.7, (212, 190, 96), opacity=0.75)
    x = air.dice.choice((58, 262))
    wall = (176, 60, 52)
    with art.at(x, 142, 0.9):
        art.rect(-44, -50, 88, 50, art.shade(wall), 0, darker(wall, 0.5), 1.4)
        art.polygon(
            xy("-52 -48, -36 -76, 0 -90, 36 -76, 52 -48"),
            art.shade((110, 84, 76)),
            darker(wall, 0.6),
            1.4,
        )
        art.polygon(xy("-36 -50, -26 -70, 0 -80, 26 -70, 36 -50"), wall)
        art.rect(-16, -36, 32, 36, darker(wall, 0.35), 0, (246, 242, 234), 2.6)
        art.stroke([(-16, 0), (16, -36)], (246, 242, 234), 2.4)
        art.stroke([(16, 0), (-16, -36)], (246, 242, 234), 2.4)
        art.rect(
            -6,
            -66,
            12,
            11,
            art.light(LAMP) if air.night else darker(wall, 0.5),
            1,
            (246, 242, 234),
            2,
        )
    plank = (222, 206, 180)
    for post in range(4, 330, 26):
        art.rect(post - 2, 134, 4, 24, art.round(plank), 1)
    for rail in (139, 148):
        art.rect(0, rail, WIDTH, 3.4, plank)
    tufts(art, air.dice, 160, 238, GRASS, 44)


def airport(art: Art, air: Air) -> None:
    sky(art, air, 122)
    glass = art.light((255, 232, 170)) if air.night else art.down((198, 222, 238), (128, 160, 188))
    art.rect(150, 96, 176, 34, art.shade((214, 218, 224)), 3)
    for pane in range(156, 320, 14):
        art.rect(pane, 103, 10, 15, glass, 1)
    x = air.dice.choice((60, 96))
    art.polygon([(x - 7, 130), (x - 5, 74), (x + 5, 74), (x + 7, 130)], art.round((222, 224, 228)))
    art.polygon(
        [(x - 11, 74), (x - 15, 58), (x + 15, 58), (x + 11, 74)], glass, (110, 120, 132), 1.4
    )
    art.rect(x - 17, 53, 34, 6, (196, 70, 60), 2)
    art.stroke([(x, 53), (x, 40)], (110, 120, 132), 1.6)
    _ground(art, 126, (124, 172, 92))
    art.polygon(
        [(0, 158), (WIDTH, 150), (WIDTH, 242), (0, 242)], art.down((126, 130, 138), (96, 100, 108))
    )
    for dash in range(-12, 330, 64):
        art.polygon(
            [(dash + 8, 222), (dash + 44, 221), (dash + 38, 227), (dash, 228)], (246, 246, 240)
        )
    for lamp in range(14, 320, 34):
        art.oval(lamp, 157 - lamp * 0.02, 2, fill=art.light((255, 220, 120)))


def _ground(art: Art, top: float, colour: RGB) -> None:
    art.rect(0, top, WIDTH, HEIGHT - top + 2, art.down(lighter(colour, 0.12), darker(colour, 0.16)))


def _water(art: Art, air: Air, top: float, bottom: float) -> None:
    tint = {
        "rainy": (92, 120, 138),
        "cloudy": (84, 136, 168),
        "snowy": (110, 140, 164),
        "foggy": (150, 170, 180),
    }
    colour = tint.get(air.weather, WATER)
    far = mix(colour, (255, 170, 120), 0.55) if air.time == "sunset" else lighter(colour, 0.3)
    art.rect(0, top, WIDTH, bottom - top + 2, art.down(far, darker(colour, 0.2)))
    for _ in range(round((bottom - top) * 0.42)):
        y = top + 4 + (bottom - top - 4) * air.dice.random()
        near = (y - top) / (HEIGHT - top)
        x, half = air.dice.uniform(-10, 330), 4 + 15 * near
        art.curve(
            [
                (x - half, y),
                (x - half / 2, y - 0.5 - 2.4 * near),
                (x, y),
                (x + half / 2, y - 0.5 - 2.4 * near),
                (x + half, y),
            ],
            lighter(colour, 0.5),
            0.6 + near,
            0.6,
        )
