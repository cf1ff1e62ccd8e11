"""Read untrusted Parquet files in batches, and refuse those that would exhaust the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cmr_hub.outside import check_file

ROWS = 65_536
"""Default number of rows per batch."""
_FREE = 256 * 2**20
_RATIO = 256
"""Maximum ratio of unpacked to packed bytes, beyond `_FREE`; valid tables compress less."""
_CELL = 8
"""Bytes of an empty value in memory."""


class ParquetTable:
    """An open Parquet file, which can still be read after it is removed.

    Args:
        path: Path of the file.

    Raises:
        OSError: The message is the reason, without the path; FileNotFoundError if the file does
            not exist.
    """

    def __init__(self, path: Path) -> None:
        size = check_file(path)
        try:
            metadata = pq.read_metadata(path)
            self.schema: pa.Schema = metadata.schema.to_arrow_schema()
            names = [field.name for field in self.schema if _is_text(field.type)]
            # A constant column takes a few bytes until it is expanded, so it is kept as dictionary.
            self._file = pq.ParquetFile(path, metadata=metadata, read_dictionary=names)
        except FileNotFoundError:
            raise
        except Exception as error:  # Arrow raises nearly every exception on damaged input
            raise OSError(f"not Parquet: {error}") from error
        self.count = int(metadata.num_rows)
        self._limit = _FREE + _RATIO * size
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        cells = self.count * metadata.num_columns
        # An empty text takes memory in each row, but hardly any space in the file.
        self._expected_bytes = max(sum(group.total_byte_size for group in groups), _CELL * cells)

    def batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the table in batches of `rows` rows.

        Raises:
            OSError: The file is damaged, or unpacks to far more than any valid table of its size.
        """
        self._refuse(self._expected_bytes)
        size = 0
        try:
            for batch in self._file.iter_batches(rows):
                batch.validate(full=True)
                size += sum(map(_expanded_bytes, batch.columns))
                self._refuse(size)
                yield pa.RecordBatch.from_arrays(
                    [
                        column.cast(field.type) if column.type != field.type else column
                        for column, field in zip(batch.columns, self.schema, strict=True)
                    ],
                    schema=self.schema,
                )
        except OSError:
            raise
        except Exception as error:  # as above
            raise OSError(f"not Parquet: {error}") from error

    def records(self, rows: int = ROWS) -> Iterator[dict[str, Any]]:
        """Yield the rows as dictionaries. Raises OSError, also for values without a Python type."""
        for batch in self.batches(rows):
            try:
                records = batch.to_pylist()
            except Exception as error:  # invalid dates and time zones raise many exceptions
                raise OSError(f"a value cannot be read: {error}") from error
            yield from records

    def table(self) -> pa.Table:
        """Return all rows. Raises OSError, as `batches`."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)

    def _refuse(self, size: int) -> None:
        if size > self._limit:
            raise OSError(f"it unpacks to more than {self._limit:,} bytes")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _expanded_bytes(column: pa.Array) -> int:
    if not isinstance(column, pa.DictionaryArray) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return _CELL * len(column) + (pc.sum(lengths.take(column.indices)).as_py() or 0)
