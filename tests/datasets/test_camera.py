import io
from datetime import datetime
from fractions import Fraction

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from cmr_hub.datasets.camera import FACTS
from cmr_hub.datasets.images import decode_with_facts
from cmr_hub.gallery.items import FACT_TYPES

TAGS, IFD, GPS = ExifTags.Base, ExifTags.IFD, ExifTags.GPS
UNKNOWN = dict.fromkeys(FACTS)


def facts(tags=(), own=(), place=(), size=(40, 30), kind="JPEG"):
    """Save a picture with EXIF: main tags, those of the camera, those of the place."""
    exif = Image.Exif()
    exif.update(dict(tags))
    exif[IFD.Exif], exif[IFD.GPSInfo] = dict(own), dict(place)
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, exif=exif.tobytes())
    return decode_with_facts(file.getvalue(), enough=4)[1]


def degrees(value):
    whole, rest = divmod(Fraction(value), 1)
    minutes, rest = divmod(rest * 60, 1)
    return whole, minutes, IFDRational(*(rest * 60).limit_denominator(10_000).as_integer_ratio())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_facts(kind):
    found = facts(
        {TAGS.Make: "Google", TAGS.Model: "Pixel 6", TAGS.Orientation: 6},
        {
            TAGS.DateTimeOriginal: "2021:06:01 23:30:05",
            TAGS.OffsetTimeOriginal: "+02:00",
            TAGS.LensModel: "Pixel 6 back camera",
        },
        {
            GPS.GPSLatitude: degrees("48.2"),
            GPS.GPSLatitudeRef: "N",
            GPS.GPSLongitude: degrees("16.4"),
            GPS.GPSLongitudeRef: "W",
        },
        size=(400, 300),
        kind=kind,
    )
    assert found == {
        "taken": datetime(2021, 6, 1, 23, 30, 5),
        "taken_offset": "+02:00",
        "year": 2021,
        "month": 6,
        "camera": "Google Pixel 6",
        "lens": "Pixel 6 back camera",
        "latitude": pytest.approx(48.2, abs=1e-6),
        "longitude": pytest.approx(-16.4, abs=1e-6),
        "width": 300,
        "height": 400,
        "orientation": "portrait",
    }
    assert list(found) == list(FACT_TYPES)


def test_without_exif_only_the_size_is_known():
    assert facts(size=(20, 20)) == UNKNOWN | {"width": 20, "height": 20, "orientation": "square"}


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("OLYMPUS IMAGING CORP.  ", "E-M5\0\0junk", "OLYMPUS IMAGING CORP. E-M5"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("Apple", "", "Apple"),
        ("", "iPhone\x1b[31m 12", "iPhone[31m 12"),
        (" \0", "\0", None),
        ("x" * 300, "y", ("x" * 100) + " y"),
    ],
)
def test_cameras(make, model, camera):
    assert facts({TAGS.Make: make, TAGS.Model: model})["camera"] == camera


@pytest.mark.parametrize(
    ("time", "taken"),
    [
        ("2021:06:01 12:00:00", datetime(2021, 6, 1, 12)),
        ("2021-06-01 12:00:00", datetime(2021, 6, 1, 12)),
        ("2021:06:01 12:00:00.5", datetime(2021, 6, 1, 12)),
        ("2021-06-01T12:00:00+02:00", datetime(2021, 6, 1, 12)),
        ("2021/06/01 12:00:00", datetime(2021, 6, 1, 12)),
        ("0000:00:00 00:00:00", None),
        ("1970:01:01 00:00:00", None),
        ("1989:12:31 23:59:59", None),
        ("2021:13:41 12:00:00", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
    ],
)
def test_times(time, taken):
    found = facts(own={TAGS.DateTimeOriginal: time})
    assert (found["taken"], found["year"]) == (taken, taken and taken.year)
    assert facts({TAGS.DateTime: time})["taken"] == taken  # if there is no other
    later = {TAGS.DateTimeDigitized: "2022:01:01 00:00:00", TAGS.DateTimeOriginal: time}
    assert facts(own=later)["taken"] == (taken or datetime(2022, 1, 1))


@pytest.mark.parametrize("offset", ["", "+2", "CET", "+99:99", 7])
def test_odd_time_zones_are_unknown(offset):
    own = {TAGS.DateTimeOriginal: "2021:06:01 12:00:00", TAGS.OffsetTimeOriginal: offset}
    assert facts(own=own)["taken_offset"] is None


@pytest.mark.parametrize(
    ("latitude", "longitude", "known"),
    [
        (degrees(0), degrees(0), False),
        (degrees(0), degrees(16), True),
        (degrees(95), degrees(16), False),
        (degrees(48), degrees(190), False),
        ((IFDRational(0, 0),) * 3, degrees(16), False),
        (degrees(48), None, False),
    ],
)
def test_places(latitude, longitude, known):
    place = {GPS.GPSLatitude: latitude, GPS.GPSLongitude: longitude, GPS.GPSLatitudeRef: "S"}
    found = facts(place={tag: value for tag, value in place.items() if value is not None})
    assert (found["latitude"] is not None, found["longitude"] is not None) == (known, known)
    assert not known or found["latitude"] <= 0 < found["longitude"]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_leaves_the_size():
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff damaged")
    found = decode_with_facts(file.getvalue())[1]
    assert found == UNKNOWN | {"width": 40, "height": 30, "orientation": "landscape"}
