"""A bus, from the side or from the front."""

from __future__ import annotations

from cmr_hub_sketches.colours import GLASS, INK, LAMP, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, Paint, xy
from cmr_hub_sketches.objects.kind import Kind, Look
from cmr_hub_sketches.objects.wheels import TYRE, car_wheel


def draw(art: Art, look: Look) -> None:
    if look.pose == "front":
        _front(art, look)
    else:
        _side(art, look)


def _pane(art: Art, lit: bool) -> Paint:
    if lit:
        return art.light(LAMP)
    return art.down(lighter(GLASS, 0.4), darker(GLASS, 0.2))


def _side(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    body = (
        "M-380 -36L-384 -250C-384 -274 -374 -284 -352 -284L352 -284"
        "C374 -284 384 -270 386 -246L390 -120L388 -36Z"
    )
    if look.night:
        art.polygon(xy("384 -70, 640 -20, 640 0, 400 -6"), art.fade(LAMP, 0.4, 0.1))
    art.rect(-330, -298, 200, 18, darker(colour, 0.25), 8)
    art.path(body, art.shade(colour, 0.2), edge, 6)
    with art.inside(body):
        art.rect(-400, -112, 800, 22, lighter(colour, 0.75))
        art.rect(-400, -60, 800, 40, darker(colour, 0.35))
        art.rect(-400, -284, 800, 14, lighter(colour, 0.35), opacity=0.7)
    for index in range(7):
        art.rect(-356 + index * 84, -244, 72, 92, _pane(art, look.night), 9, edge, 4)
        art.polygon(
            [
                (-330 + index * 84, -240),
                (-308 + index * 84, -240),
                (-328 + index * 84, -156),
                (-350 + index * 84, -156),
            ],
            (255, 255, 255),
            opacity=0.3,
        )
        if look.dice.random() < 0.5:
            art.oval(-320 + index * 84, -186, 13, 15, darker(GLASS, 0.65))
            art.rect(-342 + index * 84, -171, 44, 18, darker(GLASS, 0.6), 8)
    art.rect(240, -246, 76, 214, art.down(lighter(GLASS, 0.2), darker(GLASS, 0.3)), 8, edge, 5)
    art.stroke([(278, -244), (278, -34)], edge, 5)
    art.path("M334 -246L372 -246C378 -240 380 -180 382 -150L334 -150Z", _pane(art, False), edge, 4)
    art.rect(362, -92, 26, 26, art.light(LAMP) if look.night else (255, 246, 214), 8, edge, 3)
    art.rect(-384, -96, 12, 34, (196, 30, 36), 4)
    for axle in (-238, 190):
        art.oval(axle, -52, 58, 52, fill=INK)
        car_wheel(art, axle, 50)
    if look.night:
        art.oval(378, -80, 60, fill=art.glow(LAMP))


def _front(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for side in (-1, 1):
        art.rect(side * 92 - 24, -44, 48, 44, TYRE, 10)
        art.path(f"M{side * 124} -226L{side * 154} -222L{side * 154} -178", None, INK, 6)
        art.rect(side * 154 - 11, -196, 22, 44, INK, 8)
    art.path(
        "M-124 -40L-128 -250C-128 -290 -112 -304 -84 -304L84 -304C112 -304 128 -290 128 -250"
        "L124 -40C122 -28 114 -24 104 -24L-104 -24C-114 -24 -122 -28 -124 -40Z",
        art.shade(colour, 0.22),
        edge,
        6,
    )
    art.rect(-84, -292, 168, 34, INK, 8)
    for index in range(5):
        art.rect(-62 + index * 26, -283, 16, 16, art.light((255, 190, 70)), 3)
    art.rect(-112, -248, 224, 122, art.down(lighter(GLASS, 0.45), darker(GLASS, 0.3)), 16, edge, 5)
    art.polygon(xy("-60 -244, -14 -244, -50 -130, -96 -130"), (255, 255, 255), opacity=0.35)
    art.oval(52, -168, 17, 20, darker(GLASS, 0.65))
    art.rect(24, -150, 58, 22, darker(GLASS, 0.6), 10)
    art.stroke([(-80, -130), (0, -140)], INK, 4)
    art.rect(-126, -112, 252, 16, lighter(colour, 0.75))
    for side in (-1, 1):
        lamp = art.light(LAMP) if look.night else art.ball((250, 246, 226))
        art.oval(side * 88, -72, 22, fill=lamp, line=edge, width=4)
        if look.night:
            art.oval(side * 88, -72, 70, fill=art.glow(LAMP))
    art.rect(-40, -82, 80, 22, INK, 6)
    art.rect(-124, -52, 248, 14, STEEL, 6)


KIND = Kind(
    "bus",
    draw,
    {"side": (780, 300), "front": (330, 307)},
    ("red", "blue", "yellow", "green", "white", "orange", "purple", "pink"),
)
