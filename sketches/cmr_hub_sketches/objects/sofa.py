"""A sofa from the front, with cushions."""

from __future__ import annotations

from cmr_hub_sketches.colours import darker, lighter
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.objects.kind import Kind, Look

CUSHIONS = ((246, 232, 200), (120, 160, 190), (226, 150, 90), (190, 204, 150))


def draw(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for x in (-88, 88):
        art.polygon([(x - 5, -14), (x + 5, -14), (x + 3, 0), (x - 3, 0)], (110, 74, 46))
    art.path(
        ("M-94 -30L-92 -78C-90 -90 -82 -94 -70 -94L70 -94C82 -94 90 -90 92 -78L94 -30Z"),
        art.shade(colour, 0.12, 0.25),
        edge,
        2.4,
    )
    for left in (-76, 1):
        art.rect(left, -88, 75, 50, art.shade(colour, 0.25, 0.08), 12, edge, 2)
    art.rect(-100, -26, 200, 16, art.shade(darker(colour, 0.2)), 6, edge, 2.4)
    for left in (-78, 0):
        art.rect(
            left, -46, 78, 24, art.down(lighter(colour, 0.28), darker(colour, 0.05)), 9, edge, 2
        )
    for side in (-1, 1):
        with art.at(mirrored=side < 0):
            arm = "M76 -12L76 -58C77 -70 102 -70 103 -58L102 -12Z"
            art.path(arm, art.round(colour, 0.25, 0.2), edge, 2.4)
        art.oval(side * 89.5, -58, 12, 8, lighter(colour, 0.18), edge, 1.6)
    for x, turn in ((-52, -14), (54, 12)):
        cushion = look.dice.choice(CUSHIONS)
        with art.at(x, -56, turn=turn):
            art.path(
                (
                    "M-17 -16C-8 -13 8 -13 17 -16C14 -6 14 6 17 16C8 13 -8 13 -17 16"
                    "C-14 6 -14 -6 -17 -16Z"
                ),
                art.shade(cushion, 0.2),
                darker(cushion, 0.4),
                1.6,
            )


KIND = Kind(
    "sofa",
    draw,
    {"front": (206, 96)},
    ("red", "blue", "yellow", "green", "orange", "purple", "pink", "brown", "white", "grey"),
)
