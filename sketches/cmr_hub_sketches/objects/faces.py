"""Eyes, noses and muzzles for several animals."""

from __future__ import annotations

from cmr_hub_sketches.colours import RGB, darker
from cmr_hub_sketches.kit import Art, xy

BLACK = (28, 26, 30)


def eye(art: Art, x: float, y: float, size: float, iris: RGB | None = None) -> None:
    """Draw a dark eye with a highlight and, if given, an iris of that colour."""
    if iris is not None:
        art.oval(x, y, size, size * 1.05, iris, darker(iris, 0.6), size * 0.2)
        art.oval(x, y, size * 0.42, size * 0.85, BLACK)
    else:
        art.oval(x, y, size, size * 1.1, BLACK)
    art.oval(x - size * 0.3, y - size * 0.35, size * 0.28, fill=(255, 255, 255))


def cat_face(art: Art, x: float, y: float, size: float, fur: RGB, muzzle: RGB, iris: RGB) -> None:
    """Draw a cat's head from the front; `size` is half its width."""
    edge = darker(fur, 0.5)
    with art.at(x, y, size / 68):
        for side in (-1, 1):
            ear = [(side * 62, -20), (side * 60, -92), (side * 12, -52)]
            art.polygon(ear, fur, edge, 4)
            inner = [(side * 54, -36), (side * 54, -76), (side * 26, -52)]
            art.polygon(inner, (238, 168, 164))
        head = xy("0 -58, 44 -46, 68 -4, 76 20, 48 42, 0 52, -48 42, -76 20, -68 -4, -44 -46")
        art.blob(head, art.ball(fur, 0.2, 0.12), edge, 4)
        for stripe in (-16, 0, 16):
            art.stroke([(stripe, -52), (stripe * 0.7, -30)], darker(fur, 0.35), 6)
        for side in (-1, 1):
            art.oval(side * 16, 26, 20, 16, muzzle)
            eye(art, side * 30, -4, 13, iris)
            for rise in (-4, 6, 16):
                art.stroke(
                    [(side * 24, 26 + rise * 0.3), (side * 84, 20 + rise)],
                    (250, 250, 250),
                    1.8,
                    0.9,
                )
        art.polygon([(-9, 12), (9, 12), (0, 22)], (222, 116, 124), darker((222, 116, 124), 0.4), 2)
        art.path("M0 22C0 34 -14 36 -18 30M0 22C0 34 14 36 18 30", None, BLACK, 3)
