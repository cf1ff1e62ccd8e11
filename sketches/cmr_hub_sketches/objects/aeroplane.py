"""An aeroplane: an airliner or a light one with a propeller, in the air or on the ground."""

from __future__ import annotations

from cmr_hub_sketches.colours import GLASS, INK, LAMP, STEEL, darker, lighter
from cmr_hub_sketches.kit import Art, xy
from cmr_hub_sketches.objects.kind import Kind, Look
from cmr_hub_sketches.objects.wheels import TYRE


def draw(art: Art, look: Look) -> None:
    flying = look.pose.endswith("flying")
    if look.pose.startswith("propeller"):
        _propeller(art, look, flying)
    else:
        _airliner(art, look, flying)


def _airliner(art: Art, look: Look, flying: bool) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    wing = darker(colour, 0.12)
    if not flying:
        for x in (220, -30):
            art.stroke([(x, -90), (x, -22)], STEEL, 10)
            for wheel in (-14, 14):
                art.oval(x + wheel, -18, 18, fill=TYRE)
    with art.at(0, -150):
        art.polygon(xy("0 -40, -90 -150, -132 -150, -70 -36"), art.shade(wing), edge, 5)
        art.polygon(xy("-250 -30, -330 -150, -376 -150, -348 -20"), art.shade(colour, 0.1), edge, 6)
        body = (
            "M-372 -24C-330 -50 -280 -62 -200 -62L220 -62C300 -60 352 -36 372 -4"
            "C366 26 310 50 220 52L-160 52C-250 40 -330 8 -372 -24Z"
        )
        art.path(body, art.shade(lighter(colour, 0.04), 0.35, 0.28), edge, 6)
        with art.inside(body):
            art.path(
                "M-380 10C-200 24 160 26 380 8L380 70L-380 70Z", darker(colour, 0.3), opacity=0.55
            )
            art.path("M-372 2C-200 14 160 16 380 -2", None, lighter(colour, 0.8), 8)
        for index in range(11):
            pane = art.light(LAMP) if look.night else darker(GLASS, 0.35)
            art.rect(-196 + index * 36, -34, 17, 23, pane, 8)
        art.path("M292 -46C322 -40 344 -28 354 -16L300 -18Z", darker(GLASS, 0.45), edge, 3)
        art.rect(232, -38, 24, 62, lighter(colour, 0.25), 6, edge, 3)
        art.polygon(xy("-280 -10, -370 26, -400 26, -350 -14"), art.shade(wing), edge, 4)
        art.path(
            ("M-20 62C-24 44 -10 36 20 36L74 36C88 42 88 70 74 78L6 78C-12 76 -18 70 -20 62Z"),
            art.shade(STEEL),
            INK,
            4,
        )
        art.oval(80, 57, 9, 20, INK)
        art.polygon(
            xy("80 14, -110 120, -166 122, -70 12"),
            art.shade(lighter(wing, 0.2), 0.3),
            edge,
            5,
        )
    if look.night:
        art.oval(376, -150, 40, fill=art.glow(LAMP))
        art.oval(-140, -30, 36, fill=art.glow((255, 70, 70)))


def _propeller(art: Art, look: Look, flying: bool) -> None:
    with art.at(56):
        _light_plane(art, look, flying)


def _light_plane(art: Art, look: Look, flying: bool) -> None:
    colour, edge = look.colour, darker(look.colour, 0.5)
    art.stroke([(90, -90), (112, -24)], STEEL, 9)
    art.stroke([(20, -80), (0, -24)], STEEL, 9)
    art.oval(112, -20, 20, fill=TYRE, line=INK, width=3)
    art.oval(0, -20, 20, fill=TYRE, line=INK, width=3)
    for x in (112, 0):
        art.oval(x, -20, 8, fill=STEEL)
    art.polygon(xy("-236 -110, -282 -212, -246 -216, -176 -124"), art.shade(colour, 0.1), edge, 5)
    body = (
        "M-280 -122C-180 -150 -60 -160 20 -164C80 -166 150 -156 178 -132"
        "C188 -116 182 -90 164 -82C100 -64 20 -66 -60 -78"
        "C-140 -90 -230 -108 -280 -122Z"
    )
    art.path(body, art.shade(colour, 0.3), edge, 6)
    with art.inside(body):
        art.path(
            ("M-290 -112C-140 -104 40 -100 200 -112L200 -96C40 -84 -140 -90 -290 -100Z"),
            lighter(colour, 0.8),
        )
    art.path(
        ("M-48 -156C-36 -196 0 -206 40 -204C68 -200 84 -184 92 -160C50 -166 -10 -164 -48 -156Z"),
        art.down(lighter(GLASS, 0.4), darker(GLASS, 0.2)),
        edge,
        5,
    )
    art.stroke([(26, -204), (26, -164)], edge, 5)
    art.polygon(xy("-226 -128, -306 -118, -318 -106, -240 -112"), art.shade(colour), edge, 4)
    art.rect(-66, -214, 190, 17, art.shade(darker(colour, 0.1), 0.4), 8, edge, 4)
    art.stroke([(-20, -90), (-30, -204)], edge, 4)
    art.stroke([(40, -86), (92, -204)], edge, 4)
    art.path("M176 -128C204 -124 204 -94 176 -90Z", art.ball(STEEL), INK, 4)
    if flying:
        art.oval(196, -110, 12, 88, (210, 220, 230), opacity=0.55)
        art.oval(196, -110, 4, 84, STEEL, opacity=0.6)
    else:
        art.oval(198, -150, 7, 42, art.shade((150, 100, 60)), INK, 3)
        art.oval(198, -70, 7, 42, art.shade((150, 100, 60)), INK, 3)


KIND = Kind(
    "aeroplane",
    draw,
    {
        "airliner flying": (776, 300),
        "propeller flying": (528, 218),
        "airliner": (776, 300),
        "propeller": (528, 218),
    },
    ("white", "red", "blue", "yellow", "green", "orange", "grey", "pink"),
)
