"""Store the scores of neutral sentences in a collection of a Milvus server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.clear import Neutral

if TYPE_CHECKING:
    from cmr_hub.gallery.milvus_server import MilvusServer

_BATCH = 512
_INDEX = {"index_type": "FLAT", "metric_type": "IP"}


def write_neutral(server: MilvusServer, name: str, neutral: Neutral) -> None:
    """Store the mean as row 0 and the rows of the factor from row 1 in the collection `name`.

    The mean is written last, so that an incomplete collection has no mean. Each row also stores the
    number of rows of the factor.
    """
    from pymilvus import DataType

    dim = len(neutral.mean)
    if not server.call("has_collection", name):
        schema = server.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field("rows", DataType.INT64)
        server.call("create_collection", name, schema=schema, consistency_level="Strong")
    if not server.call("list_indexes", name):
        indexes = server.client.prepare_index_params()
        indexes.add_index("vector", **_INDEX)
        server.call("create_index", name, indexes)
    server.call("load_collection", name)
    count = len(neutral.factor)
    vectors = [*neutral.factor.tolist(), neutral.mean.tolist()]
    rows = [
        {"id": number, "vector": vector, "rows": count}
        for number, vector in zip([*range(1, count + 1), 0], vectors, strict=True)
    ]
    for start in range(0, len(rows), _BATCH):
        server.call("upsert", name, rows[start : start + _BATCH])


def read_neutral(server: MilvusServer, name: str) -> Neutral | None:
    """Read the output of `write_neutral`; None if it is missing or incomplete.

    Raises:
        ModelFormatError: rows of the factor are missing.
    """
    if not server.call("has_collection", name) or not server.call("list_indexes", name):
        return None
    server.call("load_collection", name)
    fields = ["id", "vector", "rows"]
    mean = server.call("get", name, ids=[0], output_fields=fields)
    if not mean:
        return None
    count = int(mean[0]["rows"])
    vectors = {}
    for start in range(1, count + 1, _BATCH):
        ids = list(range(start, min(start + _BATCH, count + 1)))
        for row in server.call("get", name, ids=ids, output_fields=fields):
            vectors[row["id"]] = row["vector"]
    if len(vectors) < count:
        raise ModelFormatError(
            f"{name}: {count - len(vectors)} rows are missing; drop this collection"
        )
    factor = [vectors[number] for number in range(1, count + 1)]
    return Neutral(
        np.array(mean[0]["vector"], dtype=np.float32), np.array(factor, dtype=np.float32)
    )
