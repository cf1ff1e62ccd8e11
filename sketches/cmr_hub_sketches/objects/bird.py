"""A bird that flies, stands or swims."""

from __future__ import annotations

from cmr_hub_sketches.colours import darker, lighter, mix
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.faces import eye
from cmr_hub_sketches.objects.kind import Kind, Look

BEAK = (240, 164, 48)
CREAM = (250, 244, 228)


def draw(art: Art, look: Look) -> None:
    with art.at(scale=0.1):
        {"flying": _flying, "standing": _standing, "swimming": _swimming}[look.pose](art, look)


def _flying(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    tip = darker(colour, 0.4)
    up = look.dice.choice([0, 30, 60])
    with art.at(18, -150):
        far = [(30, -20), (70, -130 + up * 0.5), (50, -230 + up), (0, -150 + up * 0.5), (-30, -20)]
        art.blob(far, darker(colour, 0.25), edge, 5)
        art.polygon(
            xy("-100 0, -236 -30, -214 6, -244 40, -100 30"),
            art.shade(darker(colour, 0.15)),
            edge,
            5,
        )
        art.blob(
            xy("-130 10, -60 -36, 40 -46, 110 -36, 120 6, 60 48, -30 50"),
            art.down(colour, mix(colour, CREAM, 0.75)),
            edge,
            5,
        )
        art.polygon([(150, -34), (206, -18), (152, -4)], BEAK, darker(BEAK, 0.4), 4)
        art.oval(118, -28, 46, 42, art.ball(colour, 0.25, 0.1), edge, 5)
        eye(art, 130, -36, 10)
        wing = [
            (50, -22),
            (10, -130 + up),
            (-70, -226 + up * 1.4),
            (-150, -250 + up * 1.6),
            (-110, -150 + up),
            (-70, -40),
            (-20, 4),
        ]
        art.blob(wing, art.down(tip, lighter(colour, 0.12)), edge, 5)
        for feather in (0, 1, 2):
            art.curve(
                [
                    (-20 - feather * 22, -20 - feather * 8),
                    (-60 - feather * 22, -120 + up * 0.8 - feather * 18),
                ],
                edge,
                4,
                0.7,
            )


def _standing(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for x in (-8, 34):
        art.stroke([(x, -60), (x + 4, -6)], darker(BEAK, 0.2), 9)
        art.stroke([(x - 18, -4), (x + 34, -4)], darker(BEAK, 0.2), 8)
        art.stroke([(x + 4, -8), (x + 26, -2)], darker(BEAK, 0.2), 7)
    art.polygon(
        xy("-90 -110, -214 -52, -196 -28, -60 -74"),
        art.shade(darker(colour, 0.25)),
        edge,
        5,
    )
    _body(art, look)


def _swimming(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    with art.at(0, 62):
        art.polygon(
            xy("-90 -120, -170 -150, -150 -100, -90 -80"),
            art.shade(darker(colour, 0.2)),
            edge,
            5,
        )
        _body(art, look)


def _body(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    art.blob(
        xy(
            "-116 -106, -80 -160, -10 -186, 40 -230, 90 -250, 132 -214, 124 -150, "
            "84 -84, 20 -52, -50 -54, -96 -76"
        ),
        art.shade(colour, 0.25, 0.08),
        edge,
        5,
    )
    art.blob(
        xy("104 -176, 112 -140, 76 -86, 20 -60, -20 -66, 50 -110"),
        mix(colour, CREAM, 0.8),
    )
    art.polygon([(126, -232), (186, -208), (124, -190)], BEAK, darker(BEAK, 0.4), 4)
    eye(art, 100, -214, 11)
    art.blob(
        xy("40 -160, 20 -96, -60 -78, -140 -86, -86 -130, -30 -168"),
        art.down(darker(colour, 0.15), darker(colour, 0.4)),
        edge,
        5,
    )
    for row in (0, 1, 2):
        art.curve(
            [(10 - row * 30, -148 + row * 14), (-10 - row * 30, -112 + row * 10)],
            lighter(colour, 0.3),
            5,
            0.7,
        )


KIND = Kind(
    "bird",
    draw,
    {"flying": (46, 41), "standing": (42, 25), "swimming": (36, 19)},
    ("red", "blue", "yellow", "green", "white", "black", "orange", "brown", "pink", "purple"),
)
