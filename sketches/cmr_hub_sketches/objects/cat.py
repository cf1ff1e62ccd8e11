"""A cat that sits, walks or lies."""

from __future__ import annotations

from cmr_hub_sketches.colours import darker, lighter, mix
from cmr_hub_sketches.kit import Art, curve_path, xy
from cmr_hub_sketches.objects.faces import cat_face
from cmr_hub_sketches.objects.kind import Kind, Look

EYES = ((120, 190, 90), (236, 190, 60), (100, 176, 214))


def draw(art: Art, look: Look) -> None:
    with art.at(-5.5 if look.pose == "sitting" else 0, scale=0.19):
        {"sitting": _sitting, "walking": _walking, "lying": _lying}[look.pose](art, look)


def _sitting(art: Art, look: Look) -> None:
    fur, edge = look.colour, darker(look.colour, 0.5)
    muzzle = lighter(fur, 0.45) if look.patch is None else (248, 246, 240)
    art.limb(
        xy("60 -20, 120 -24, 138 -80, 112 -128, 130 -156"),
        [34, 32, 28, 24, 16],
        fur,
        edge,
        4,
    )
    body = xy("0 -178, 50 -160, 76 -90, 88 -34, 70 -2, -70 -2, -88 -34, -76 -90, -50 -160")
    art.blob(body, art.shade(fur), edge, 4)
    with art.inside(curve_path(body, closed=True)):
        if look.patch is not None:
            art.blob(xy("10 -180, 90 -150, 96 -60, 40 -70"), look.patch)
            art.blob(xy("-96 -70, -50 -60, -40 0, -100 0"), look.patch)
        else:
            for y in (-120, -94, -68):
                for side in (-1, 1):
                    art.stroke([(side * 78, y), (side * 52, y + 8)], darker(fur, 0.3), 8)
    art.blob(xy("0 -140, 26 -120, 20 -70, 0 -54, -20 -70, -26 -120"), muzzle)
    for side in (-1, 1):
        art.oval(side * 62, -30, 32, 32, art.ball(fur, 0.15, 0.1), edge, 3)
        art.limb([(side * 22, -96), (side * 22, -14)], [30, 28], art.shade(fur, 0.1), edge, 3)
    for side in (-1, 1):
        art.oval(side * 24, -10, 21, 12, muzzle, edge, 3)
    _head(art, look, 0, -196, 68)


def _walking(art: Art, look: Look) -> None:
    fur, edge = look.colour, darker(look.colour, 0.5)
    far = darker(fur, 0.22)
    art.limb(xy("-104 -134, -146 -160, -150 -226, -126 -262"), [30, 26, 24, 18], fur, edge, 4)
    for x, foot in ((-62, -92), (66, 94)):
        art.limb([(x, -90), (x + 4, -48), (foot, -12)], [40, 28, 24], far, edge, 3)
    body = xy(
        "-118 -130, -90 -164, -20 -160, 50 -164, 96 -146, 100 -98, 60 -78, -20 -82, "
        "-90 -76, -122 -98"
    )
    art.blob(body, art.shade(fur), edge, 4)
    with art.inside(curve_path(body, closed=True)):
        if look.patch is not None:
            art.oval(-70, -150, 50, 40, look.patch)
            art.oval(30, -166, 36, 30, look.patch)
        else:
            for x in range(-84, 70, 26):
                art.stroke([(x, -176), (x + 6, -132)], darker(fur, 0.3), 9)
    for x, foot in ((-90, -70), (86, 60)):
        art.limb(
            [(x, -104), (x - 6, -52), (foot, -12)], [50, 30, 26], art.shade(fur, 0.05), edge, 3
        )
        art.oval(foot + 8, -9, 18, 10, lighter(fur, 0.4), edge, 3)
    _head(art, look, 112, -172, 58)


def _lying(art: Art, look: Look) -> None:
    fur, edge = look.colour, darker(look.colour, 0.5)
    body = xy("-150 -40, -130 -100, -60 -128, 30 -118, 96 -90, 124 -34, 100 -2, -120 -2")
    art.blob(body, art.shade(fur), edge, 4)
    with art.inside(curve_path(body, closed=True)):
        if look.patch is not None:
            art.oval(-90, -104, 64, 46, look.patch)
            art.oval(40, -116, 40, 36, look.patch)
        else:
            for x in range(-110, 50, 30):
                art.stroke([(x, -136), (x + 10, -84)], darker(fur, 0.3), 9)
    art.oval(-86, -36, 56, 38, art.ball(fur, 0.12, 0.12), edge, 3)
    art.limb(xy("-140 -24, -100 -8, -30 -12, 10 -20"), [30, 28, 26, 18], fur, edge, 4)
    for x in (128, 96):
        art.limb([(x - 50, -20), (x + 10, -14)], [30, 26], lighter(fur, 0.12), edge, 3)
    _head(art, look, 92, -104, 62)


def _head(art: Art, look: Look, x: float, y: float, size: float) -> None:
    white = (248, 246, 240)
    muzzle = mix(look.colour, white, 0.55) if look.patch is None else white
    cat_face(art, x, y, size, look.patch or look.colour, muzzle, look.dice.choice(EYES))


KIND = Kind(
    "cat",
    draw,
    {"sitting": (48, 55), "walking": (66, 53), "lying": (62, 36)},
    ("black", "white", "grey", "orange", "brown", "black and white", "orange and white"),
)
