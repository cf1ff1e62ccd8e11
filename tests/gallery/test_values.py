"""Arrow types and values that Python has not, in the items of a gallery."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.manifest import FILE_NAME, _digest
from cmr_hub.gallery.values import readable

ODD = {
    "a date before the years": pa.array([-(2**31)], pa.int32()).cast(pa.date32()),
    "a date after them": pa.array([2_932_897], pa.int32()).cast(pa.date32()),
    "milliseconds of a date": pa.array([2**62 // 86_400_000 * 86_400_000]).cast(pa.date64()),
    "a duration": pa.array([2**62], pa.duration("s")),
    "an interval": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "no time zone": pa.array([0], pa.timestamp("us", "Mars/Olympus")),
    "a time zone that is a path": pa.array([0], pa.timestamp("us", "../../etc/passwd")),
    "a time stamp": pa.array([2**62], pa.timestamp("s")),
    "the last hour, elsewhere": pa.array([253_402_300_799], pa.timestamp("s", "-12:00")),
    "an hour of no day": pa.array([90_000], pa.int32()).cast(pa.time32("s")),
    "a negative hour": pa.array([-1], pa.int64()).cast(pa.time64("us")),
    "in a list": pa.array([[-(2**31)]], pa.list_(pa.int32())).cast(pa.list_(pa.date32())),
    "in a structure": pa.StructArray.from_arrays(
        [pa.array([2**62], pa.timestamp("s"))], names=["when"]
    ),
    "a list of durations": pa.array([[1]], pa.list_(pa.duration("s"))),
    "in a list of structures": pa.array(
        [[{"when": 2**62}]], pa.list_(pa.struct([("when", pa.timestamp("s"))]))
    ),
    "a map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
}
NOW = datetime.datetime(2026, 11, 30, 12, 30, 1, 5)
USUAL = {
    "text": pa.array(["a"]),
    "a number": pa.array([float("nan")]),
    "a date": pa.array([datetime.date(1, 1, 1)]),
    "a time": pa.array([datetime.time(23, 59, 59, 999_999)]),
    "a time stamp": pa.array([NOW]),
    "its zone": pa.array([NOW], pa.timestamp("us", "Europe/Berlin")),
    "its offset": pa.array([NOW], pa.timestamp("ms", "+02:00")),
    "lists": pa.array([["a", "b"]]),
    "lists of dates": pa.array([[datetime.date(9999, 12, 31)]]),
    "nothing": pa.array([None]),
    "no date": pa.array([None], pa.date32()),
    "a structure": pa.array([{"a": 1, "b": NOW}]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_ones_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(ModelFormatError, match=r"^the column 'x' ") as found:
        readable("x", pa.chunked_array([ODD[name]]))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", USUAL)
def test_usual_ones_are_left_as_they_are(name: str) -> None:
    column = pa.chunked_array([USUAL[name]])
    found = readable("x", column)
    assert found.type == column.type
    assert repr(found.to_pylist()) == repr(USUAL[name].to_pylist())


def test_nanoseconds_are_cut() -> None:
    """Python's dates have none of them, and pandas, which has, is not asked for."""
    found = readable("x", pa.chunked_array([pa.array([1_001], pa.timestamp("ns"))]))
    assert found.to_pylist() == [datetime.datetime(1970, 1, 1, 0, 0, 0, 1)]
    inner = pa.array([[1_001]], pa.list_(pa.timestamp("ns")))
    assert readable("x", pa.chunked_array([inner])).type == pa.list_(pa.timestamp("us"))


def test_dictionaries_are_written_out() -> None:
    column = pa.chunked_array([pa.array(["a", "b", "a"]).dictionary_encode()])
    assert readable("x", column).to_pylist() == ["a", "b", "a"]
    assert readable("x", column).type == pa.string()


@pytest.mark.parametrize("name", ["a duration", "no time zone", "a date after them"])
def test_a_gallery_with_them(gallery: Gallery, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "g"
    gallery.save(folder)
    (items,) = folder.glob("items*")
    table = pq.read_table(items)
    column = pa.chunked_array([pa.concat_arrays([ODD[name]] * len(table))])
    pq.write_table(table.append_column("x", column), items)
    manifest = json.loads((folder / FILE_NAME).read_bytes())
    manifest["files"][items.name] = {
        "sha256": sha256_of_file(items),
        "bytes": items.stat().st_size,
    }
    del manifest["sha256"]
    manifest["sha256"] = _digest(manifest)
    (folder / FILE_NAME).write_text(json.dumps(manifest))
    with pytest.raises(ModelFormatError, match="the column 'x' ") as found:
        Gallery.open(folder).search(np.ones(12), 3)
    assert "\n" not in str(found.value)
