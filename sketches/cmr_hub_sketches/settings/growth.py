"""Plants and stones in backgrounds."""

from __future__ import annotations

from random import Random

from cmr_hub_sketches.colours import RGB, darker, lighter
from cmr_hub_sketches.kit import Art, xy


def tufts(art: Art, dice: Random, top: float, bottom: float, green: RGB, count: int = 36) -> None:
    """Draw grass that is larger towards the viewer."""
    blade = darker(green, 0.22)
    for _ in range(count):
        y = dice.uniform(top, bottom)
        x, size = dice.uniform(0, 320), 1.5 + 5 * (y - top) / (bottom - top)
        art.path(
            f"M{x - size:.1f} {y - size:.1f}L{x:.1f} {y:.1f}L{x:.1f} {y - size * 1.4:.1f}"
            f"M{x:.1f} {y:.1f}L{x + size:.1f} {y - size:.1f}",
            None,
            blade,
            0.9,
            0.7,
        )


def round_tree(art: Art, x: float, y: float, height: float, green: RGB) -> None:
    """Draw a leafy tree at (x, y)."""
    with art.at(x, y, height / 100):
        art.limb([(0, -5), (0, -30), (-1, -58)], [11, 8, 7], art.round((122, 84, 56)))
        art.blob(
            xy("0 -100, 24 -94, 36 -74, 34 -52, 16 -40, -16 -40, -35 -52, -36 -74, -22 -94"),
            art.ball(green, 0.22, 0.24),
            darker(green, 0.4),
            1.4,
        )
        for dx, dy in ((-16, -78), (8, -84), (18, -62), (-8, -56)):
            art.path(f"M{dx - 7} {dy}A7 7 0 0 1 {dx + 7} {dy}", None, lighter(green, 0.28), 2, 0.7)


def fir(art: Art, x: float, y: float, height: float, green: RGB, *, snowy: bool = False) -> None:
    """Draw a fir tree, optionally with snow."""
    with art.at(x, y, height / 100):
        art.rect(-4, -16, 8, 16, (106, 74, 52))
        for top, bottom, half in ((-56, -12, 30), (-78, -36, 23), (-100, -60, 16)):
            art.polygon(
                [(0, top), (half, bottom), (-half, bottom)],
                art.round(green, 0.16, 0.25),
                darker(green, 0.4),
                1.2,
            )
            if snowy:
                art.polygon(
                    [
                        (0, top),
                        (half * 0.6, top + (bottom - top) * 0.6),
                        (half * 0.15, top + (bottom - top) * 0.45),
                        (-half * 0.3, top + (bottom - top) * 0.62),
                        (-half * 0.62, top + (bottom - top) * 0.6),
                    ],
                    (248, 250, 254),
                )


def ridge(art: Art, dice: Random, level: float, swing: float, colour: RGB, bottom: float) -> None:
    """Draw a line of rolling hills, filled down to `bottom`."""
    points = [(-20 + 60 * step, level + dice.uniform(-swing, swing)) for step in range(7)]
    art.blob(
        [(-60, bottom), *points, (380, bottom), (160, bottom + 30)], art.shade(colour, 0.12, 0.16)
    )
