"""Drawing of shapes and paints as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from cmr_hub_sketches.colours import INK, RGB, Tone, darker, lighter

Point: TypeAlias = tuple[float, float]
Paint: TypeAlias = RGB | str
"""A colour, to which the light of the scene is applied, or a finished SVG paint."""


def number(value: float) -> str:
    """Format with at most two decimals, so that the text is the same on every machine."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def xy(text: str) -> list[Point]:
    """Parse points such as "0 -4, 12.5 3"."""
    pairs = (pair.split() for pair in text.split(","))
    return [(float(x), float(y)) for x, y in pairs]


def line_path(points: Sequence[Point], *, closed: bool = False) -> str:
    """Return the path of straight lines through the points."""
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return path + "Z" if closed else path


def curve_path(points: Sequence[Point], *, closed: bool = False) -> str:
    """Return a smooth path through the points (a Catmull-Rom spline as Bézier curves)."""
    count = len(points)

    def at(index: int) -> Point:
        return points[index % count] if closed else points[min(max(index, 0), count - 1)]

    path = f"M{number(points[0][0])} {number(points[0][1])}"
    for index in range(count if closed else count - 1):
        before, start, end, after = (at(index + step) for step in (-1, 0, 1, 2))
        numbers = (
            start[0] + (end[0] - before[0]) / 6,
            start[1] + (end[1] - before[1]) / 6,
            end[0] - (after[0] - start[0]) / 6,
            end[1] - (after[1] - start[1]) / 6,
            *end,
        )
        path += "C" + " ".join(map(number, numbers))
    return path + "Z" if closed else path


def limb_path(points: Sequence[Point], widths: Sequence[float], bare: float = 0) -> str:
    """Return the path of a tapered limb: a smooth line of given widths, with round ends.

    With `bare`, return the open outline of a limb attached to a body, without this share of it.
    """
    spine, thick = _sampled(points, widths)
    left, right = [], []
    for index, (x, y) in enumerate(spine):
        ahead = spine[min(index + 1, len(spine) - 1)]
        behind = spine[max(index - 1, 0)]
        length = math.hypot(ahead[0] - behind[0], ahead[1] - behind[1]) or 1.0
        across = (-(ahead[1] - behind[1]) / length, (ahead[0] - behind[0]) / length)
        half = thick[index] / 2
        left.append((x + across[0] * half, y + across[1] * half))
        right.append((x - across[0] * half, y - across[1] * half))
    first = round(bare * (len(spine) - 2))
    left, right = left[first:], right[first:]
    end, start = number(thick[-1] / 2), number(thick[0] / 2)
    there = "L".join(f"{number(x)} {number(y)}" for x, y in left)
    back = "L".join(f"{number(x)} {number(y)}" for x, y in reversed(right[:-1]))
    tip = f"A{end} {end} 0 0 0 {number(right[-1][0])} {number(right[-1][1])}"
    root = f"A{start} {start} 0 0 0 {number(left[0][0])} {number(left[0][1])}"
    return f"M{there}{tip}L{back}" + ("" if bare else f"{root}Z")


def _sampled(points: Sequence[Point], widths: Sequence[float]) -> tuple[list[Point], list[float]]:
    """Return six points on each part of a Catmull-Rom spline, with the width at each."""
    spine, thick = [], []
    last = len(points) - 1
    for index in range(last):
        p0, p1 = points[max(index - 1, 0)], points[index]
        p2, p3 = points[index + 1], points[min(index + 2, last)]
        for step in range(6):
            t = step / 6
            weights = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (t**3 - t**2) / 2,
            )
            corners = (p0, p1, p2, p3)
            spine.append(
                (
                    sum(w * p[0] for w, p in zip(weights, corners, strict=True)),
                    sum(w * p[1] for w, p in zip(weights, corners, strict=True)),
                )
            )
            thick.append(widths[index] + (widths[index + 1] - widths[index]) * t)
    return [*spine, points[-1]], [*thick, widths[-1]]


class Art:
    """An SVG drawing, to which shapes are added from back to front; y points down.

    Args:
        tone: light that is applied to every colour.
    """

    def __init__(self, tone: Tone) -> None:
        self._tone = tone
        self._body: list[str] = []
        self._definitions: dict[str, str] = {}

    def svg(self, width: int, height: int) -> str:
        """Return the SVG text; the coordinates span `width` × `height`."""
        definitions = "".join(
            content.replace("@", name) for content, name in self._definitions.items()
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
            f"<defs>{definitions}</defs>{''.join(self._body)}</svg>"
        )

    @contextmanager
    def lit(self, tone: Tone) -> Iterator[None]:
        """Use another light inside the context."""
        before, self._tone = self._tone, tone
        try:
            yield
        finally:
            self._tone = before

    @contextmanager
    def at(
        self,
        x: float = 0,
        y: float = 0,
        scale: float = 1,
        *,
        mirrored: bool = False,
        turn: float = 0,
    ) -> Iterator[None]:
        """Move the origin, scale, mirror horizontally, and rotate clockwise by degrees."""
        across = f"{scale * (-1 if mirrored else 1):.4f}"
        spin = f" rotate({number(turn)})" if turn else ""
        self._body.append(
            f'<g transform="translate({number(x)} {number(y)}){spin} scale({across} {scale:.4f})">'
        )
        try:
            yield
        finally:
            self._body.append("</g>")

    @contextmanager
    def inside(self, path: str) -> Iterator[None]:
        """Clip shapes inside the context to a path."""
        name = self._define(f'<clipPath id="@"><path d="{path}"/></clipPath>')
        self._body.append(f'<g clip-path="url(#{name})">')
        try:
            yield
        finally:
            self._body.append("</g>")

    # Paints

    def down(self, top: Paint, bottom: Paint) -> str:
        """Return a vertical gradient from one colour to another."""
        return self._gradient('x1="0" y1="0" x2="0" y2="1"', ((0, top, 1), (1, bottom, 1)))

    def shade(self, colour: RGB, light: float = 0.16, dark: float = 0.2) -> str:
        """Return the paint of a surface lit from above."""
        top, bottom = lighter(colour, light), darker(colour, dark)
        return self._gradient(
            'x1="0" y1="0" x2="0.15" y2="1"', ((0, top, 1), (0.45, colour, 1), (1, bottom, 1))
        )

    def round(self, colour: RGB, light: float = 0.3, dark: float = 0.28) -> str:
        """Return the paint of an upright cylinder lit from the left."""
        stops = (
            (0.0, darker(colour, dark * 0.6), 1.0),
            (0.3, lighter(colour, light), 1.0),
            (0.55, colour, 1.0),
            (1.0, darker(colour, dark), 1.0),
        )
        return self._gradient('x1="0" y1="0" x2="1" y2="0"', stops)

    def ball(self, colour: RGB, light: float = 0.4, dark: float = 0.25) -> str:
        """Return the paint of a ball lit from the upper left."""
        stops = ((0, lighter(colour, light), 1), (0.5, colour, 1), (1, darker(colour, dark), 1))
        return self._gradient('cx="0.35" cy="0.3" r="0.75"', stops, "radial")

    def glow(self, colour: RGB, strength: float = 0.8) -> str:
        """Return light that fades outwards, independent of the scene's light."""
        own = _hex(colour)
        stops = ((0, own, strength), (0.3, own, strength * 0.45), (1, own, 0))
        return self._gradient('cx="0.5" cy="0.5" r="0.5"', stops, "radial")

    def fade(self, colour: Paint, start: float, end: float) -> str:
        """Return one colour whose opacity changes from top to bottom."""
        return self._gradient('x1="0" y1="0" x2="0" y2="1"', ((0, colour, start), (1, colour, end)))

    def light(self, colour: RGB) -> str:
        """Return a luminous colour, independent of the scene's light."""
        return _hex(colour)

    def _gradient(
        self, place: str, stops: Sequence[tuple[float, Paint, float]], kind: str = "linear"
    ) -> str:
        rows = "".join(
            f'<stop offset="{number(offset)}" stop-color="{self._paint(paint)}"'
            + (f' stop-opacity="{number(opacity)}"/>' if opacity < 1 else "/>")
            for offset, paint, opacity in stops
        )
        name = self._define(f'<{kind}Gradient id="@" {place}>{rows}</{kind}Gradient>')
        return f"url(#{name})"

    def _define(self, content: str) -> str:
        return self._definitions.setdefault(content, f"d{len(self._definitions)}")

    def _paint(self, paint: Paint) -> str:
        return paint if isinstance(paint, str) else _hex(self._tone(paint))

    # Shapes

    def path(
        self,
        path: str,
        fill: Paint | None,
        line: Paint | None = None,
        width: float = 0,
        opacity: float = 1,
    ) -> None:
        """Draw a filled path, with an outline if `line` is given."""
        self._add(f'path d="{path}"', fill, line, width, opacity)

    def polygon(
        self,
        points: Sequence[Point],
        fill: Paint,
        line: Paint | None = None,
        width: float = 0,
        opacity: float = 1,
    ) -> None:
        """Draw a filled polygon."""
        self.path(line_path(points, closed=True), fill, line, width, opacity)

    def blob(
        self,
        points: Sequence[Point],
        fill: Paint,
        line: Paint | None = None,
        width: float = 0,
        opacity: float = 1,
    ) -> None:
        """Draw a filled area whose edge curves through the points."""
        self.path(curve_path(points, closed=True), fill, line, width, opacity)

    def limb(
        self,
        points: Sequence[Point],
        widths: Sequence[float],
        fill: Paint,
        line: Paint | None = None,
        width: float = 0,
        bare: float = 0,
    ) -> None:
        """Draw a tapered limb; see `limb_path`."""
        if not bare:
            self.path(limb_path(points, widths), fill, line, width)
            return
        self.path(limb_path(points, widths), fill)
        self.path(limb_path(points, widths, bare), None, line, width)

    def stroke(
        self, points: Sequence[Point], line: Paint, width: float, opacity: float = 1
    ) -> None:
        """Draw straight lines."""
        self._add(f'path d="{line_path(points)}"', None, line, width, opacity)

    def curve(self, points: Sequence[Point], line: Paint, width: float, opacity: float = 1) -> None:
        """Draw a smooth line."""
        self._add(f'path d="{curve_path(points)}"', None, line, width, opacity)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: Paint,
        radius: float = 0,
        line: Paint | None = None,
        line_width: float = 0,
        opacity: float = 1,
    ) -> None:
        """Draw a rectangle from its upper left corner, optionally with round corners."""
        corner = f' rx="{number(radius)}"' if radius else ""
        place = f'x="{number(x)}" y="{number(y)}"'
        size = f'width="{number(width)}" height="{number(height)}"'
        self._add(f"rect {place} {size}{corner}", fill, line, line_width, opacity)

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        fill: Paint | None = INK,
        line: Paint | None = None,
        width: float = 0,
        opacity: float = 1,
    ) -> None:
        """Draw an ellipse around (x, y), or a circle without `ry`."""
        other = rx if ry is None else ry
        place = f'cx="{number(x)}" cy="{number(y)}" rx="{number(rx)}" ry="{number(other)}"'
        self._add(f"ellipse {place}", fill, line, width, opacity)

    def _add(
        self, shape: str, fill: Paint | None, line: Paint | None, width: float, opacity: float
    ) -> None:
        # The opacity of the whole shape would need a separate layer, which is slower.
        style = "none" if fill is None else self._paint(fill)
        text = f'<{shape} fill="{style}"'
        if line is not None:
            text += f' stroke="{self._paint(line)}" stroke-width="{number(width)}"'
            text += ' stroke-linecap="round" stroke-linejoin="round"'
        if opacity < 1:
            text += f' fill-opacity="{number(opacity)}" stroke-opacity="{number(opacity)}"'
        self._body.append(text + "/>")


def _hex(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
