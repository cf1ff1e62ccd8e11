"""A person from the front: a man, a woman, a boy or a girl, who stands, walks or waves."""

from __future__ import annotations

from cmr_hub_sketches.colours import INK, RGB, darker, lighter
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.objects.faces import BLACK
from cmr_hub_sketches.objects.kind import Kind, Look

SKIN = ((248, 214, 186), (232, 186, 148), (198, 144, 104), (146, 98, 68), (104, 68, 48))
HAIR = ((46, 36, 34), (88, 56, 36), (140, 90, 48), (222, 180, 100), (176, 82, 40))
TROUSERS = ((52, 66, 102), (70, 74, 84), (104, 84, 66), (38, 40, 50))
CHILD = 0.72


def draw(art: Art, look: Look) -> None:
    who, action = look.pose.split()
    skin, hair, trousers = (look.dice.choice(shades) for shades in (SKIN, HAIR, TROUSERS))
    child = who in ("boy", "girl")
    size = CHILD if child else 1.0
    with art.at({"standing": 0, "walking": 5, "waving": -7}[action] * size, scale=size):
        female = who in ("woman", "girl")
        if female:
            _long_hair(art, hair, child)
        dress = female and look.dice.random() < 0.55
        _legs(art, look.colour, skin, trousers, action == "walking", dress)
        _arms(art, look.colour, skin, action)
        _torso(art, look.colour, dress)
        _head(art, skin, hair, female, child)


def _legs(art: Art, colour: RGB, skin: RGB, trousers: RGB, walking: bool, dress: bool) -> None:
    cloth = skin if dress else trousers
    edge = darker(cloth, 0.45)
    spread = 17 if walking else 10
    for side in (-1, 1):
        lift = 5 if walking and side > 0 else 0
        art.limb(
            [(side * 9, -84), (side * (spread - 1), -44), (side * spread, -8 - lift)],
            [20, 17, 14] if not dress else [16, 13, 10],
            art.round(cloth, 0.12, 0.2),
            edge,
            1.8,
        )
        shoe = darker(colour, 0.5) if dress else INK
        with art.at(side * spread, -lift):
            art.path(f"M-8 -1C-10 -13 8 -13 {9 + side * 2} -1Z", shoe)


def _torso(art: Art, colour: RGB, dress: bool) -> None:
    edge = darker(colour, 0.5)
    art.rect(-6, -146, 12, 14, (200, 160, 130))
    if dress:
        shape = (
            "M-17 -138C-24 -120 -17 -106 -17 -98L-33 -46C-12 -40 12 -40 33 -46"
            "L17 -98C17 -106 24 -120 17 -138Z"
        )
        art.path(shape, art.round(colour, 0.22, 0.2), edge, 2)
        art.rect(-17, -102, 34, 6, darker(colour, 0.4), 2)
        return
    art.path(
        (
            "M-22 -137C-28 -116 -24 -96 -25 -74L25 -74C24 -96 28 -116 22 -137"
            "C10 -141 -10 -141 -22 -137Z"
        ),
        art.round(colour, 0.22, 0.2),
        edge,
        2,
    )
    art.stroke([(0, -134), (0, -76)], darker(colour, 0.35), 1.8)
    for y in (-124, -108, -92):
        art.oval(4, y, 1.6, fill=lighter(colour, 0.7))
    art.path("M-10 -140L0 -128L10 -140Z", lighter(colour, 0.7), edge, 1.4)


def _arms(art: Art, colour: RGB, skin: RGB, action: str) -> None:
    edge = darker(colour, 0.5)
    left = [(-22, -130), (-32, -106), (-33, -84)]
    right = [(22, -130), (32, -106), (33, -84)]
    if action == "waving":
        right = [(22, -130), (42, -142), (48, -168)]
    elif action == "walking":
        left, right = [(-22, -130), (-36, -110), (-44, -90)], [(22, -130), (34, -108), (28, -88)]
    for arm in (left, right):
        art.oval(*arm[-1], 7, fill=skin, line=darker(skin, 0.4), width=1.6)
        art.limb(arm, [15, 13, 11], art.round(colour, 0.1, 0.2), edge, 1.8)


def _long_hair(art: Art, hair: RGB, child: bool) -> None:
    if child:
        for side in (-1, 1):
            art.limb(
                [(side * 16, -168), (side * 27, -156), (side * 25, -138)],
                [9, 12, 5],
                hair,
                darker(hair, 0.4),
                1.4,
            )
    else:
        art.path(
            "M-20 -164C-24 -140 -22 -128 -18 -124L18 -124C22 -128 24 -140 20 -164Z",
            hair,
            darker(hair, 0.4),
            1.6,
        )


def _head(art: Art, skin: RGB, hair: RGB, female: bool, child: bool) -> None:
    size, half = (21, 22) if child else (18, 19)
    with art.at(0, -160):
        art.rect(-5, 8, 10, 16, darker(skin, 0.15), 4)
        for side in (-1, 1):
            art.oval(side * (size - 1), 2, 4, 5, skin, darker(skin, 0.35), 1.2)
        art.oval(0, 0, size, size + 2, art.ball(skin, 0.2, 0.12), darker(skin, 0.4), 1.6)
        if female:
            art.path(
                f"M{-half} 4C{-half - 2} -32 {half + 2} -32 {half} 4"
                f"C{half - 4} -8 4 -10 -4 -13C-8 -6 {4 - half} -4 {-half} 4Z",
                art.down(lighter(hair, 0.15), hair),
                darker(hair, 0.4),
                1.4,
            )
        else:
            art.path(
                f"M{-size} -2C{-size - 3} -30 {size + 3} -30 {size} -2"
                f"C{size - 3} -10 6 -12 0 -12C-8 -12 {3 - size} -9 {-size} -2Z",
                art.down(lighter(hair, 0.15), hair),
                darker(hair, 0.4),
                1.4,
            )
        for side in (-1, 1):
            art.oval(side * 7, 0, 2.1, 2.6, BLACK)
            art.oval(side * 11, 8, 3.4, 2.2, (236, 120, 110), opacity=0.45)
        art.path("M-6 9C-3 13 3 13 6 9", None, (150, 60, 54), 1.9)


_PEOPLE = (("man", 1.0), ("woman", 1.0), ("boy", CHILD), ("girl", CHILD))
_ACTIONS = (("standing", 82), ("walking", 94), ("waving", 97))

KIND = Kind(
    "person",
    draw,
    {
        f"{who} {action}": (width * size, 184 * size)
        for who, size in _PEOPLE
        for action, width in _ACTIONS
    },
    ("red", "blue", "yellow", "green", "orange", "purple", "pink", "white", "brown", "grey"),
)
