"""Parquet files that unpack to what no memory holds."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmr_hub.datasets import parquet
from cmr_hub.datasets.parquet import ParquetTable

TABLE = pa.table(
    {
        "id": [f"row {n}" for n in range(1000)],
        "label": ["dog", None] * 500,
        "texts": [["a", "b"], None, [], ["c"]] * 250,
        "year": range(1000),
        "data": [b"\xff\x00"] * 1000,
    }
)


def written(path: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"row_group_size": 100}])
def test_what_was_written_is_read(tmp_path: Path, options: dict[str, object]) -> None:
    found = ParquetTable(written(tmp_path / "x", TABLE, **options))
    assert found.count == 1000
    assert found.table().equals(TABLE)
    assert pa.Table.from_batches(found.batches(7), found.schema).equals(TABLE)
    none = ParquetTable(written(tmp_path / "y", TABLE.slice(0, 0), **options))
    assert none.table().equals(TABLE.slice(0, 0))


def test_it_may_be_removed_while_it_is_open(tmp_path: Path) -> None:
    found = ParquetTable(written(tmp_path / "x", TABLE))
    (tmp_path / "x").unlink()
    assert found.table().equals(TABLE)


def test_one_long_text_told_in_every_row_is_refused_before_it_is_written_out(
    tmp_path: Path,
) -> None:
    count = 300_000
    text = pa.array(["x" * 50_000])
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), text)
    path = written(tmp_path / "x", pa.table({"text": rows}), store_schema=False)
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(OSError, match="unpacks to more than"):
        ParquetTable(path).table()
    assert pa.total_allocated_bytes() - before < 2**20


def test_zeros_that_pack_to_nothing_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(parquet, "_FREE", 2**20)
    table = pa.table({"text": [bytes(2**20) for _ in range(64)]})
    path = written(tmp_path / "x", table, compression="zstd", use_dictionary=False)
    assert path.stat().st_size * 256 < 60 * 2**20
    with pytest.raises(OSError, match="unpacks to more than"):
        ParquetTable(path).table()


def test_text_that_is_no_text_is_damage(tmp_path: Path) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["abcdef"]}), file, use_dictionary=False, compression="none")
    (tmp_path / "x").write_bytes(file.getvalue().replace(b"abcdef", b"abc\xff\xfe\xfd"))
    with pytest.raises(OSError, match="not Parquet"):
        ParquetTable(tmp_path / "x").table()


def test_rows_of_nothing_count(tmp_path: Path) -> None:
    """Twenty million rows of ten empty texts are some kilobytes, and gigabytes of offsets."""
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array([""]))
    table = pa.table({f"c{n}": pa.chunked_array([rows] * 20) for n in range(10)})
    path = written(tmp_path / "x", table, store_schema=False)
    assert path.stat().st_size < 600_000
    before = pa.total_allocated_bytes()
    with pytest.raises(OSError, match="unpacks to more than"):
        ParquetTable(path).table()
    assert pa.total_allocated_bytes() - before < 2**20


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match=r"^it is not a regular file$"):
        ParquetTable(tmp_path / "x")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([-(2**31)], pa.int32()).cast(pa.date32()),
        pa.array([0], pa.timestamp("us", "Mars/Olympus")),
        pa.array([0], pa.timestamp("us", "../../etc/passwd")),
        pa.array([2**62], pa.timestamp("us")),
    ],
)
def test_values_that_python_has_not(tmp_path: Path, column: pa.Array) -> None:
    found = ParquetTable(written(tmp_path / "x", pa.table({"a": column})))
    with pytest.raises(OSError, match="a value cannot be read: "):
        list(found.records())


def test_records(tmp_path: Path) -> None:
    found = ParquetTable(written(tmp_path / "x", TABLE))
    assert list(found.records(7)) == TABLE.to_pylist()
