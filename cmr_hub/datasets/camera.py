"""Camera metadata of pictures (EXIF) and videos (tags)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from PIL import ExifTags

if TYPE_CHECKING:
    from PIL import Image

FACTS: Final = (
    *("taken", "taken_offset", "year", "month", "camera", "lens", "latitude", "longitude"),
    *("width", "height", "orientation"),
)
_FIRST_YEAR: Final = 1990  # a camera whose clock is not set writes 1970, 1980 or 0000
_LONGEST: Final = 100
_TIME: Final = re.compile("[-:/T ]")
_APPLE: Final = "com.apple.quicktime."
_PLACE: Final = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)(?![\d.])")
"""Degrees in ISO 6709, such as +48.2082+016.3738/; with minutes it has more digits."""
_TURNED: Final = (5, 6, 7, 8)


def camera_facts(image: Image.Image, size: tuple[int, int]) -> dict[str, Any]:
    """Return the camera metadata of a picture by the names in `FACTS`; None for unknown values.

    `taken` is the local time of the camera, without a time zone; `taken_offset`, such as "+02:00",
    is known if the camera wrote it. `width` and `height` are those of the upright picture, and
    `orientation` is landscape, portrait or square. Latitude and longitude 0, 0 and years before
    1990 count as unknown.

    Args:
        image: a decoded picture that has not been rotated upright.
        size: its width and height in the file.
    """
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    width, height = size
    with suppress(Exception):  # damaged EXIF, on which Pillow raises nearly every exception
        exif = image.getexif()
        if exif:
            if exif.get(ExifTags.Base.Orientation) in _TURNED:
                width, height = height, width
            _add_exif(facts, exif)
    _add_size(facts, width, height)
    return facts


def video_facts(tags: Mapping[str, str], size: tuple[int, int]) -> dict[str, Any]:
    """Return the camera metadata of a video, like `camera_facts` of a picture.

    iPhones write local time with its offset from UTC; other phones write UTC.

    Args:
        tags: tags of the file, as FFmpeg names them.
        size: width and height of its upright frames.
    """
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    values = {name.lower(): value for name, value in tags.items()}

    def first(*names: str) -> str:
        return next((values[name] for name in names if values.get(name)), "")

    for name in (f"{_APPLE}creationdate", "creation_time", "date"):
        with suppress(ValueError, OverflowError):
            taken = datetime.fromisoformat(_text(values.get(name)))
            if taken.year >= _FIRST_YEAR:
                offset = None if taken.tzinfo is None else str(taken)[-6:]
                _add_time(facts, taken.replace(microsecond=0, tzinfo=None), offset)
                break
    facts["camera"] = _device(
        first(f"{_APPLE}make", "make", "com.android.manufacturer"),
        first(f"{_APPLE}model", "model", "com.android.model"),
    )
    place = _PLACE.match(first(f"{_APPLE}location.iso6709", "location"))
    if place is not None:
        latitude, longitude = map(float, place.groups())
        if abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude or longitude):
            facts["latitude"], facts["longitude"] = latitude, longitude
    _add_size(facts, *size)
    return facts


def _add_time(facts: dict[str, Any], taken: datetime, offset: str | None) -> None:
    facts |= {"taken": taken, "year": taken.year, "month": taken.month, "taken_offset": offset}


def _add_size(facts: dict[str, Any], width: int, height: int) -> None:
    facts["width"], facts["height"] = width, height
    shapes = ("landscape", "square", "portrait")
    facts["orientation"] = shapes[(height > width) - (height < width) + 1]


def _add_exif(facts: dict[str, Any], exif: Image.Exif) -> None:
    tags = ExifTags.Base
    details = exif.get_ifd(ExifTags.IFD.Exif)
    for time, offset in (
        (details.get(tags.DateTimeOriginal), details.get(tags.OffsetTimeOriginal)),
        (details.get(tags.DateTimeDigitized), details.get(tags.OffsetTimeDigitized)),
        (exif.get(tags.DateTime), details.get(tags.OffsetTime)),
    ):
        taken = _time(time)
        if taken is not None:
            _add_time(facts, taken, _offset(offset))
            break
    facts["camera"] = _device(exif.get(tags.Make), exif.get(tags.Model))
    facts["lens"] = _device(details.get(tags.LensMake), details.get(tags.LensModel))
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    latitude = _degrees(place, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S", 90)
    longitude = _degrees(place, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W", 180)
    if latitude is not None and longitude is not None and (latitude or longitude):
        facts["latitude"], facts["longitude"] = latitude, longitude


def _text(value: object) -> str:
    """Return a text of EXIF without padding, or "" for anything else."""
    if not isinstance(value, str):
        return ""
    clean = value.partition("\0")[0].encode(errors="ignore").decode()
    return " ".join("".join(c for c in clean if c.isprintable()).split())[:_LONGEST]


def _time(value: object) -> datetime | None:
    try:
        plain = _TIME.sub(":", _text(value)[:19])  # some programs write 2021-06-01T12:30:00
        taken = datetime.strptime(plain, "%Y:%m:%d:%H:%M:%S")
    except ValueError:
        return None
    return taken if taken.year >= _FIRST_YEAR else None


def _offset(value: object) -> str | None:
    text = _text(value)
    try:
        datetime.strptime(text, "%z")
    except ValueError:
        return None
    return "+00:00" if text == "Z" else text


def _device(make: object, model: object) -> str | None:
    """Return maker and model without repeating the maker: "Canon EOS 5D", "Google Pixel 6"."""
    maker, name = _text(make), _text(model)
    first = maker.split()[0].casefold() if maker else ""
    if not name or not maker or name.casefold().startswith(first):
        return name or maker or None
    return f"{maker} {name}"


def _degrees(
    place: Mapping[int, Any], tag: int, sign: int, negative: str, most: float
) -> float | None:
    try:
        parts = [float(part) for part in place[tag]]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    value = sum((part / 60.0**power for power, part in enumerate(parts[:3])), start=0.0)
    if not parts or not math.isfinite(value) or not 0 <= value <= most:
        return None
    value = round(value, 7)
    return -value if _text(place.get(sign)).upper().startswith(negative) else value
