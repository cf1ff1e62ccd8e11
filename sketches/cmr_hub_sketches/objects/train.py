"""A train: a modern unit or a steam engine with carriages, from the side; or from the front."""

from __future__ import annotations

from cmr_hub_sketches.colours import COLOURS, GLASS, INK, LAMP, RGB, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, Paint, xy
from cmr_hub_sketches.objects.kind import Kind, Look


def draw(art: Art, look: Look) -> None:
    {"electric": _electric, "steam": _steam, "front": _front}[look.pose](art, look)


def _pane(art: Art, lit: bool) -> Paint:
    return art.light(LAMP) if lit else art.down(lighter(GLASS, 0.35), darker(GLASS, 0.25))


def _bogie(art: Art, x: float) -> None:
    art.rect(x - 62, -46, 124, 22, INK, 6)
    for wheel in (-36, 36):
        art.oval(x + wheel, -24, 24, fill=INK)
        art.oval(x + wheel, -24, 15, fill=art.ball(STEEL))


def _carriage(art: Art, x: float, length: float, colour: RGB, night: bool) -> None:
    edge = darker(colour, 0.5)
    art.rect(x, -268, length, 226, art.shade(colour, 0.2), 16, edge, 6)
    art.rect(x + 4, -268, length - 8, 18, darker(STEEL, 0.2), 8)
    art.rect(x + 3, -104, length - 6, 18, lighter(colour, 0.75))
    count = int(length // 100)
    gap = length / count
    for index in range(count):
        art.rect(x + gap * (index + 0.5) - 34, -218, 68, 84, _pane(art, night), 10, edge, 4)
    for end in (x + 74, x + length - 74):
        _bogie(art, end)


def _electric(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    for joint in (-216, 214):
        art.rect(joint, -240, 16, 190, INK)
    _carriage(art, -630, 414, colour, look.night)
    _carriage(art, -200, 414, colour, look.night)
    nose = "M230 -42L230 -268L430 -268C520 -262 590 -190 640 -104C650 -80 644 -50 620 -42Z"
    art.path(nose, art.shade(colour, 0.2), edge, 6)
    with art.inside(nose):
        art.rect(230, -104, 430, 18, lighter(colour, 0.75))
        art.rect(230, -270, 300, 20, darker(STEEL, 0.2))
    for left in (256, 344):
        art.rect(left, -218, 66, 84, _pane(art, look.night), 10, edge, 4)
    art.path("M462 -232L488 -228C524 -212 552 -180 574 -146L462 -146Z", _pane(art, False), edge, 5)
    art.path("M360 -268L390 -306L356 -330M390 -306L420 -268M330 -330L384 -330", None, INK, 7)
    art.oval(618, -88, 15, 12, art.light(LAMP) if look.night else (255, 246, 214), edge, 3)
    for bogie in (310, 540):
        _bogie(art, bogie)
    if look.night:
        art.oval(618, -88, 70, fill=art.glow(LAMP))


def _steam(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    trim = COLOURS["yellow"]
    for at, size in ((470, 44), (400, 60), (310, 74), (205, 84)):
        art.oval(at, -400 - size * 0.7, size, size * 0.72, art.ball((236, 238, 242)), opacity=0.8)
    art.rect(-240, -70, 60, 12, INK)
    _carriage(art, -640, 404, colour, look.night)
    art.rect(-180, -72, 800, 26, INK, 6)
    art.rect(
        100, -236, 440, 150, art.down(lighter(colour, 0.35), darker(colour, 0.35)), 20, edge, 6
    )
    for band in (190, 300, 410):
        art.rect(band, -236, 12, 150, trim)
    art.rect(530, -244, 44, 166, art.round(darker(INK, 0.1)), 12, INK, 4)
    art.polygon(xy("484 -232, 472 -366, 552 -366, 540 -232"), art.round(INK), INK, 4)
    art.rect(462, -384, 100, 24, art.round(colour), 8, edge, 4)
    art.path("M250 -234L250 -258C250 -292 322 -292 322 -258L322 -234Z", art.round(trim), edge, 4)
    art.rect(-160, -330, 270, 250, art.shade(colour, 0.2), 8, edge, 6)
    art.path("M-184 -330C-120 -362 80 -362 136 -330L132 -314L-180 -314Z", INK)
    for left in (-126, -10):
        art.rect(left, -290, 92, 96, _pane(art, look.night), 10, trim, 6)
    art.rect(-150, -160, 250, 10, trim)
    lamp = art.light(LAMP) if look.night else (255, 246, 214)
    art.oval(590, -200, 22, fill=lamp, line=INK, width=5)
    art.polygon([(560, -64), (652, -8), (560, -8)], art.shade((170, 40, 40)), INK, 4)
    for wheel, radius in ((-90, 56), (50, 56), (190, 56), (340, 34), (450, 34)):
        art.oval(wheel, -radius, radius, fill=(176, 44, 44), line=INK, width=12)
        art.stroke([(wheel - radius + 10, -radius), (wheel + radius - 10, -radius)], INK, 7)
        art.stroke([(wheel, -2 * radius + 10), (wheel, -10)], INK, 7)
        art.oval(wheel, -radius, 13, fill=STEEL)
    art.stroke([(-90, -40), (190, -40)], STEEL, 12)
    if look.night:
        art.oval(590, -200, 90, fill=art.glow(LAMP))


def _front(art: Art, look: Look) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    art.rect(-120, -60, 240, 44, INK, 8)
    for side in (-1, 1):
        art.rect(side * 84 - 20, -36, 40, 36, darker(STEEL, 0.4), 6)
    art.path(
        "M-146 -60L-148 -250C-146 -320 -90 -356 0 -356C90 -356 146 -320 148 -250L146 -60"
        "C120 -36 -120 -36 -146 -60Z",
        art.shade(colour, 0.22),
        edge,
        6,
    )
    art.path(
        ("M-112 -206L-106 -262C-98 -302 -52 -316 0 -316C52 -316 98 -302 106 -262L112 -206Z"),
        art.down(lighter(GLASS, 0.35), darker(GLASS, 0.35)),
        edge,
        6,
    )
    art.polygon(xy("-50 -312, 0 -314, -40 -208, -92 -208"), (255, 255, 255), opacity=0.3)
    art.rect(-146, -166, 292, 24, lighter(colour, 0.75))
    for side in (-1, 1):
        lamp = art.light(LAMP) if look.night else art.ball((250, 246, 226))
        art.oval(side * 98, -112, 24, fill=lamp, line=edge, width=5)
        art.oval(side * 52, -106, 12, fill=(196, 30, 36), line=edge, width=4)
        if look.night:
            art.oval(side * 98, -112, 80, fill=art.glow(LAMP))
    art.oval(
        0, -332, 13, fill=art.light(LAMP) if look.night else (255, 246, 214), line=edge, width=4
    )
    art.rect(-34, -84, 68, 26, INK, 8)
    art.rect(-128, -54, 256, 12, STEEL, 5)


KIND = Kind(
    "train",
    draw,
    {"electric": (1280, 330), "steam": (1310, 515), "front": (300, 356)},
    ("red", "blue", "yellow", "green", "white", "orange", "purple", "black"),
)
