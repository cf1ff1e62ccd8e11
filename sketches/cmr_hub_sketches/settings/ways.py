"""Roads and railway tracks across a landscape."""

from __future__ import annotations

from cmr_hub_sketches.colours import darker
from cmr_hub_sketches.kit import Art
from cmr_hub_sketches.settings.air import HEIGHT, WIDTH

ASPHALT = (104, 106, 114)
GRAVEL = (158, 148, 138)
WHITE = (244, 242, 232)
RAIL = (120, 124, 134)
SLEEPER = (104, 80, 64)


def road_along(art: Art) -> None:
    """Draw a road from left to right."""
    art.rect(0, 178, WIDTH, 46, art.down(ASPHALT, darker(ASPHALT, 0.18)))
    art.rect(0, 180, WIDTH, 2, WHITE)
    art.rect(0, 220, WIDTH, 2.6, WHITE)
    for dash in range(-8, 330, 40):
        art.polygon([(dash + 3, 196), (dash + 23, 196), (dash + 20, 199), (dash - 1, 199)], WHITE)


def road_towards(art: Art, horizon: float) -> None:
    """Draw a road from the horizon to the viewer."""
    art.polygon(
        [(156, horizon), (164, horizon), (330, HEIGHT + 2), (-10, HEIGHT + 2)],
        art.down(ASPHALT, darker(ASPHALT, 0.2)),
    )
    for side in (-1, 1):
        art.polygon(
            [
                (160 + side * 3.4, horizon),
                (160 + side * 3.9, horizon),
                (160 + side * 152, HEIGHT + 2),
                (160 + side * 142, HEIGHT + 2),
            ],
            WHITE,
        )
    deep = HEIGHT - horizon
    for near, far in ((0.1, 0.16), (0.24, 0.34), (0.46, 0.62), (0.8, 1.0)):
        art.polygon(
            [
                (160 - near * 4, horizon + deep * near),
                (160 + near * 4, horizon + deep * near),
                (160 + far * 4, horizon + deep * far),
                (160 - far * 4, horizon + deep * far),
            ],
            WHITE,
        )


def track_along(art: Art, y: float, gauge: float) -> None:
    """Draw a railway track from left to right, at height y."""
    art.polygon(
        [
            (0, y - gauge * 0.9),
            (WIDTH, y - gauge * 0.9),
            (WIDTH, y + gauge * 1.3),
            (0, y + gauge * 1.3),
        ],
        art.down(GRAVEL, darker(GRAVEL, 0.2)),
    )
    step = gauge * 1.7
    for index in range(int(WIDTH / step) + 2):
        x = index * step
        art.polygon(
            [
                (x, y - gauge * 0.5),
                (x + gauge * 0.6, y - gauge * 0.5),
                (x + gauge * 0.4, y + gauge * 0.8),
                (x - gauge * 0.3, y + gauge * 0.8),
            ],
            SLEEPER,
        )
    for rail in (-0.3, 0.35):
        art.rect(0, y + gauge * rail, WIDTH, max(1.2, gauge * 0.2), RAIL)


def track_towards(art: Art, horizon: float, x: float, half: float, y: float) -> None:
    """Draw a railway track from the horizon; at height y it is centred on x and 2·half wide."""
    grow = (HEIGHT + 2 - horizon) / (y - horizon)
    vanish = 160.0

    def at(offset: float, depth: float) -> tuple[float, float]:
        near = (depth - horizon) / (y - horizon)
        return vanish + (x + offset - vanish) * near, depth

    end = horizon + (y - horizon) * grow
    art.polygon(
        [
            at(-half * 1.8, horizon),
            at(half * 1.8, horizon),
            at(half * 1.8, end),
            at(-half * 1.8, end),
        ],
        art.down(GRAVEL, darker(GRAVEL, 0.2)),
    )
    depth = horizon + 3.0
    while depth < end:
        thick = max(0.7, (depth - horizon) * 0.05)
        art.polygon(
            [
                at(-half * 1.4, depth),
                at(half * 1.4, depth),
                at(half * 1.4, depth + thick),
                at(-half * 1.4, depth + thick),
            ],
            SLEEPER,
        )
        depth += (depth - horizon) * 0.14 + 1
    for side in (-1, 1):
        art.polygon(
            [
                at(side * half * 0.94, horizon),
                at(side * half * 1.04, horizon),
                at(side * half * 1.04, end),
                at(side * half * 0.94, end),
            ],
            RAIL,
        )
