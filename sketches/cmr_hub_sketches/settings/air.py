"""The sky by time of day and weather, with rain, snow and fog."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from cmr_hub_sketches.colours import RGB, Tone, lit_by
from cmr_hub_sketches.kit import Art

WIDTH, HEIGHT = 320, 240


@dataclass(frozen=True)
class Air:
    """Time of day and weather, and a random generator for details that no sentence names.

    Attributes:
        time: day, sunset or night.
        weather: sunny, clear, cloudy, rainy, snowy or foggy.
    """

    time: str
    weather: str
    dice: Random

    @property
    def night(self) -> bool:
        """Whether lamps and windows are lit."""
        return self.time == "night"


_SKIES: dict[str, tuple[RGB, RGB]] = {
    "sunset": ((96, 92, 168), (255, 196, 120)),
    "night": ((10, 16, 44), (46, 60, 112)),
    "sunny": ((78, 162, 234), (212, 236, 250)),
    "cloudy": ((136, 158, 182), (214, 222, 230)),
    "rainy": ((92, 106, 124), (160, 172, 184)),
    "snowy": ((168, 184, 202), (224, 230, 238)),
    "foggy": ((188, 196, 204), (226, 229, 231)),
}
_LIGHTS = {
    "sunset": (1.0, 0.83, 0.76),
    "sunny": (1.0, 1.0, 1.0),
    "cloudy": (0.92, 0.94, 0.97),
    "rainy": (0.78, 0.83, 0.9),
    "snowy": (0.93, 0.95, 1.0),
    "foggy": (0.94, 0.95, 0.96),
}


def backdrop_tone(air: Air) -> Tone:
    """Return the light on the surroundings."""
    if air.night:
        return lit_by((0.42, 0.49, 0.72))
    if air.weather == "foggy":
        return lit_by((0.94, 0.95, 0.96), (214, 218, 222), 0.42)
    return lit_by(_LIGHTS["sunset" if air.time == "sunset" else air.weather])


def figure_tone(air: Air) -> Tone:
    """Return the light on the main objects, whose colours must stay recognisable."""
    if air.night:
        return lit_by((0.74, 0.76, 0.88))
    red, green, blue = _LIGHTS["sunset" if air.time == "sunset" else air.weather]
    return lit_by(((1 + red) / 2, (1 + green) / 2, (1 + blue) / 2))


def indoor_tone(air: Air) -> Tone:
    """Return the light in a room, from the window by day and from warm lamps by night."""
    return lit_by((0.84, 0.75, 0.66) if air.night else (1.0, 1.0, 1.0))


def indoor_figure_tone(air: Air) -> Tone:
    """Return the light in a room on the main objects."""
    return lit_by((0.96, 0.9, 0.84) if air.night else (1.0, 1.0, 1.0))


def sky(art: Art, air: Air, horizon: float) -> None:
    """Draw the sky down to the horizon, with sun, moon, stars and clouds."""
    top, bottom = _SKIES[air.time if air.time != "day" else air.weather]
    if air.night and air.weather != "clear":
        top, bottom = (22, 28, 48), (60, 70, 96)
    dice = air.dice
    art.rect(0, 0, WIDTH, horizon + 16, art.down(art.light(top), art.light(bottom)))
    if air.time == "sunset":
        art.rect(
            0,
            horizon * 0.35,
            WIDTH,
            horizon * 0.65 + 2,
            art.fade(art.light((252, 120, 84)), 0, 0.6),
        )
        x = dice.uniform(50, 270)
        art.oval(x, horizon - 10, 80, fill=art.glow((255, 220, 140)))
        art.oval(x, horizon - 10, 21, fill=art.light((255, 232, 160)))
    elif air.night and air.weather == "clear":
        for _ in range(36):
            art.oval(
                dice.uniform(0, WIDTH),
                dice.uniform(0, horizon * 0.9),
                dice.uniform(0.4, 1.1),
                fill=art.light((240, 244, 255)),
                opacity=dice.uniform(0.4, 1),
            )
        x = dice.choice((44, 276))
        art.oval(x, 36, 46, fill=art.glow((220, 228, 255), 0.5))
        art.oval(x, 36, 15, fill=art.light((244, 242, 224)))
        for dx, dy, size in ((-5, -3, 3.4), (4, 5, 2.4), (5, -5, 1.8)):
            art.oval(x + dx, 36 + dy, size, fill=art.light((222, 218, 196)))
    elif air.weather == "sunny" and not air.night:
        x = dice.choice((42, 278))
        art.oval(x, 36, 64, fill=art.glow((255, 240, 170)))
        art.oval(x, 36, 18, fill=art.light((255, 224, 92)))
    _clouds(art, air, horizon)


def _clouds(art: Art, air: Air, horizon: float) -> None:
    dice = air.dice
    kind = "night" if air.night else "sunset" if air.time == "sunset" else air.weather
    white: RGB = {
        "sunny": (255, 255, 255),
        "cloudy": (226, 231, 237),
        "rainy": (120, 130, 144),
        "snowy": (206, 214, 224),
        "foggy": (222, 226, 230),
        "sunset": (255, 190, 170),
        "night": (66, 78, 112),
    }[kind]
    count = {"sunny": 3, "cloudy": 8, "rainy": 9, "snowy": 7, "foggy": 2, "sunset": 3, "night": 2}[
        kind
    ]
    if air.night and air.weather != "clear":
        count = 7
    for _ in range(count):
        cloud(
            art,
            dice.uniform(-10, 330),
            dice.uniform(12, max(24, horizon * 0.62)),
            dice.uniform(0.5, 1.15),
            white,
        )


def cloud(art: Art, x: float, y: float, size: float, colour: RGB) -> None:
    """Draw a cloud, with its own light."""
    base = art.light((round(colour[0] * 0.88), round(colour[1] * 0.9), round(colour[2] * 0.93)))
    with art.at(x, y, size):
        shape = (
            "M-34 8C-46 8 -46 -6 -33 -7C-32 -19 -15 -22 -9 -14C-3 -27 19 -25 20 -11"
            "C33 -13 40 7 26 8Z"
        )
        art.path(shape, art.down(art.light(colour), base), opacity=0.94)


def fall(art: Art, air: Air) -> None:
    """Draw rain, snow or fog over everything."""
    dice = air.dice
    if air.weather == "rainy":
        for _ in range(90):
            x, y, length = dice.uniform(-10, 330), dice.uniform(-10, 240), dice.uniform(7, 13)
            art.stroke(
                [(x, y), (x - length * 0.32, y + length)], art.light((222, 232, 244)), 0.9, 0.5
            )
    elif air.weather == "snowy":
        for _ in range(110):
            art.oval(
                dice.uniform(0, WIDTH),
                dice.uniform(0, HEIGHT),
                dice.uniform(0.8, 2.1),
                fill=art.light((255, 255, 255)),
                opacity=dice.uniform(0.6, 0.95),
            )
    elif air.weather == "foggy":
        haze = art.light((224, 228, 231))
        art.rect(0, 60, WIDTH, 120, art.fade(haze, 0, 0.14))
        art.rect(0, 180, WIDTH, 60, art.fade(haze, 0.14, 0.04))
