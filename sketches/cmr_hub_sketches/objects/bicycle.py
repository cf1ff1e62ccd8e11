"""A bicycle from the side, with or without a basket."""

from __future__ import annotations

from cmr_hub_sketches.colours import INK, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look
from cmr_hub_sketches.objects.wheels import spoked_wheel


def draw(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.45)
    rear, front, crank = (-54.0, -34.0), (56.0, -34.0), (-8.0, -32.0)
    seat, head = (-24.0, -84.0), (38.0, -82.0)
    step_through = look.dice.random() < 0.4
    for axle in (rear, front):
        spoked_wheel(art, axle[0], 34, 5.5)
    art.path("M-90 -34A36 36 0 0 1 -34 -64", None, edge, 4)
    art.path("M28 -57A36 36 0 0 1 88 -50", None, edge, 4)
    top = (36.0, -72.0) if not step_through else (37.0, -70.0)
    bar = (-14.0, -52.0) if step_through else (-22.0, -78.0)
    tubes = [(rear, crank), (rear, seat), (seat, crank), (crank, top), (bar, top)]
    for line, width in ((edge, 9.0), (colour, 6.4), (lighter(colour, 0.45), 1.6)):
        for start, end in tubes:
            art.stroke([start, end], line, width)
        art.curve([head, (48, -56), front], line, width)
        art.stroke([(34, -92), head], line, width)
    art.stroke([seat, (-27, -92)], STEEL, 4)
    art.path(
        ("M-44 -98C-36 -101 -22 -99 -12 -96C-10 -92 -16 -91 -24 -91C-32 -90 -42 -90 -44 -98Z"), INK
    )
    art.curve(xy("34 -92, 32 -102, 22 -105, 14 -101"), INK, 4.4)
    art.stroke([(20, -105), (12, -100)], (110, 70, 44), 6)
    art.oval(*crank, 11, fill=None, line=STEEL, width=3.4)
    art.stroke([(-54, -38), (-8, -43)], darker(STEEL, 0.4), 1.6)
    art.stroke([(-54, -30), (-8, -21)], darker(STEEL, 0.4), 1.6)
    art.stroke([(-18, -44), (2, -20)], darker(STEEL, 0.5), 3.4)
    for x, y in ((-18, -44), (2, -20)):
        art.stroke([(x - 6, y), (x + 6, y)], INK, 4)
    if look.dice.random() < 0.4:
        art.polygon(
            xy("42 -102, 74 -102, 70 -78, 46 -78"),
            art.shade((206, 160, 98)),
            (130, 90, 50),
            2.4,
        )
        for weave in (-96, -90, -84):
            art.stroke([(44, weave), (72, weave)], (130, 90, 50), 1.4)
    else:
        art.oval(50, -86, 6, fill=(255, 246, 214), line=INK, width=2)
    if look.dice.random() < 0.5:
        art.stroke([(-26, -66), (-84, -68)], INK, 4)


KIND = Kind(
    "bicycle",
    draw,
    {"side": (184, 108)},
    ("red", "blue", "yellow", "green", "orange", "purple", "pink", "white"),
)
