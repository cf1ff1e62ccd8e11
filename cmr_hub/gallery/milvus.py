"""The store of many machines: a Milvus server or cluster, through `pymilvus`.

One collection for each modality, `<name>_image` and `<name>_text`, because Milvus before 2.4 has
one vector a row. A row holds its item twice: as text, which is what comes back, and as JSON by
columns, which is what conditions look at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from tqdm import tqdm

from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.gallery.items import COLUMNS, MODALITY, Item, items_table
from cmr_hub.gallery.milvus_where import milvus_condition
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.store import Found
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from cmr_hub.gallery.where import Where

_BATCH = 512
_TRIES, _FIRST_WAIT, _LONGEST_WAIT = 8, 0.25, 10.0
_MAX_ID, _MAX_ITEM = 256, 65_535
_INDEX = {"M": 32, "efConstruction": 100}
_EF = 256


@dataclass(frozen=True)
class MilvusAddress:
    """Where a collection is.

    Attributes:
        uri: `http://host:19530`; with `https://` the connection is encrypted.
        collection: the first part of the names of its collections.
        token: `user:password` or an API key; empty without authentication.
    """

    uri: str
    collection: str = "cmr_gallery"
    token: str = ""


class MilvusStore:
    """Rows in a Milvus server; see `store.Store`.

    What `put` and `remove` have returned from is in Milvus' log. Both may be done again: rows are
    known by their id, which `cmr index` makes of the content. Calls that fail because the server
    is away are tried again for half a minute, with longer and longer pauses.

    Args:
        address: of the server and the collections.
        model_id: the fingerprint of the model that makes the vectors; None takes what is there.
        model_name: what `cmr_hub.load` takes to get it.

    Raises:
        CMRError: `pymilvus` is not installed, or the server does not answer.
        ModelFormatError: the collections are of another model, or are there no collections.
    """

    def __init__(
        self, address: MilvusAddress, model_id: str | None = None, model_name: str | None = None
    ) -> None:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise CMRError("the engine milvus wants: pip install 'cmr-hub[milvus]'") from error
        self.address = address
        self.client = self._call(MilvusClient, uri=address.uri, token=address.token)
        self.dim: int | None = None
        self.there: set[Modality] = set()
        noted = self._notes()
        if not noted and model_id is None:
            raise ModelFormatError(f"{address.uri} has no collections {address.collection}_…")
        self.model_id = str(noted.get("model_id", model_id))
        self.model_name: str | None = noted.get("model_name", model_name)
        if model_id is not None and model_id != self.model_id:
            raise ModelFormatError(
                f"the collections {address.collection}_… hold vectors of model "
                f"{self.model_id!r}, not of {model_id!r}: choose another name"
            )

    def __len__(self) -> int:
        shown = self._count("image")
        return shown + self._count("text", f'{_column(MODALITY)} == "text"')

    @property
    def vector_counts(self) -> dict[Modality, int]:
        counts = {target: self._count(target) for target in get_args(Modality)}
        return {target: count for target, count in counts.items() if count}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Milvus lets many write at once."""
        yield

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        if not len(rows):
            return
        items = rows.items.to_pylist()
        ids = [item["id"] for item in items]
        if max(map(len, ids)) > _MAX_ID:
            raise ModelFormatError(f"an id in Milvus has at most {_MAX_ID} letters")
        kinds = {
            target: set(rows.vectors[target].rows.tolist()) if target in rows.vectors else set()
            for target in get_args(Modality)
        }
        pairs = set.intersection(*kinds.values())
        for target in get_args(Modality):
            if target in rows.vectors:
                column = rows.vectors[target]
                self._prepare(target, column.matrix.shape[1])
                own = zip(column.rows.tolist(), column.matrix, strict=True)
                self._upsert(
                    target,
                    [_entity(items[at], "pair" if at in pairs else target, row) for at, row in own],
                )
            self._delete(target, [ids[at] for at in range(len(ids)) if at not in kinds[target]])
        self.remove(replacing)

    def remove(self, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        found = self.rows(ids).items.column("id").to_pylist()
        for target in get_args(Modality):
            self._delete(target, found)
        return len(found)

    def table(self, where: Where | None = None) -> pa.Table:
        condition = "" if where is None else milvus_condition(where)
        only_text = f'{_column(MODALITY)} == "text"'
        both = f"({condition}) and {only_text}" if condition else only_text
        items = [
            _item(row["item"])
            for target, part in (("image", condition), ("text", both))
            for row in self._rows(target, part, ["item"])
        ]
        return items_table(items)

    def rows(self, ids: Sequence[str]) -> Segment:
        items: dict[str, Item] = {}
        vectors: dict[Modality, dict[str, Any]] = {target: {} for target in get_args(Modality)}
        for start in range(0, len(ids), _BATCH):
            condition = f"id in {json.dumps(list(ids[start : start + _BATCH]))}"
            for target in get_args(Modality):
                for row in self._rows(target, condition, ["item", "vector"]):
                    items[row["id"]] = _item(row["item"])
                    vectors[target][row["id"]] = row["vector"]
        names = list(items)
        columns = {}
        for target, own in vectors.items():
            places = [place for place, name in enumerate(names) if name in own]
            if places:
                matrix = np.array([own[names[place]] for place in places], dtype=np.float32)
                columns[target] = VectorColumn(matrix, np.array(places, dtype=np.int64))
        return Segment(items_table(items.values()), columns)

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | None = None,
    ) -> list[Found]:
        if target not in self.there:
            nothing = np.empty((0, queries.shape[1]), np.float32)
            return [Found([], np.empty(0), nothing) for _ in queries]
        answers = self._call(
            self.client.search,
            self._collection(target),
            data=queries.astype(np.float32).tolist(),
            limit=count,
            filter="" if where is None else milvus_condition(where),
            output_fields=["item", "vector"],
            search_params={"metric_type": "IP", "params": {"ef": max(_EF, 2 * count)}},
        )
        return [_found(answer, query) for answer, query in zip(answers, queries, strict=True)]

    def optimise(self, *, progress: bool = False) -> None:
        """Asks Milvus to write what is in memory to its storage; it makes its indexes itself."""
        for target in tqdm(sorted(self.there), "flushing", disable=None if progress else True):
            name = self._collection(target)
            self._call(self.client.flush, name)

    def _collection(self, target: str) -> str:
        return f"{self.address.collection}_{target}"

    def _notes(self) -> dict[str, Any]:
        """What the collections that are there say of themselves."""
        notes: dict[str, Any] = {}
        for target in get_args(Modality):
            name = self._collection(target)
            if not self._call(self.client.has_collection, name):
                continue
            told = self._call(self.client.describe_collection, name)
            try:
                notes = json.loads(told["description"])
                self.dim = int(notes["dim"])
            except (ValueError, KeyError, TypeError) as error:
                raise ModelFormatError(f"{name} is there and is no gallery of ours") from error
            self._call(self.client.load_collection, name)
            self.there.add(target)
        return notes

    def _prepare(self, target: Modality, dim: int) -> None:
        """Makes the collection of a modality, if it is not there."""
        if target in self.there:
            return
        from pymilvus import DataType

        notes = {"model_id": self.model_id, "model_name": self.model_name, "dim": dim}
        schema = self.client.create_schema(auto_id=False, description=json.dumps(notes))
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_MAX_ID)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field("item", DataType.VARCHAR, max_length=_MAX_ITEM)
        schema.add_field("columns", DataType.JSON)
        indexes = self.client.prepare_index_params()
        indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=_INDEX)
        name = self._collection(target)
        self._call(
            self.client.create_collection,
            name,
            schema=schema,
            index_params=indexes,
            consistency_level="Strong",
        )
        self._call(self.client.load_collection, name)
        self.there.add(target)
        self.dim = dim

    def _upsert(self, target: str, entities: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(entities), _BATCH):
            part = list(entities[start : start + _BATCH])
            self._call(self.client.upsert, self._collection(target), part)

    def _delete(self, target: Modality, ids: Sequence[str]) -> None:
        if target not in self.there:
            return
        for start in range(0, len(ids), _BATCH):
            part = list(ids[start : start + _BATCH])
            self._call(self.client.delete, self._collection(target), ids=part)

    def _rows(self, target: str, condition: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        if target not in self.there:
            return
        pages = self._call(
            self.client.query_iterator,
            self._collection(target),
            batch_size=1000,
            filter=condition,
            output_fields=["id", *fields],
        )
        while page := self._call(pages.next):
            yield from page
        pages.close()

    def _count(self, target: Modality, condition: str = "") -> int:
        if target not in self.there:
            return 0
        (answer,) = self._call(
            self.client.query,
            self._collection(target),
            filter=condition,
            output_fields=["count(*)"],
        )
        return int(answer["count(*)"])

    def _call(self, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls; again and again while the server is away or busy."""
        from pymilvus.exceptions import MilvusException

        wait = _FIRST_WAIT
        for attempt in range(_TRIES):
            try:
                return work(*arguments, **options)
            except (MilvusException, ConnectionError) as error:
                if attempt == _TRIES - 1 or not _may_pass(error):
                    raise CMRError(f"Milvus at {self.address.uri}: {error}") from error
                time.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
        raise AssertionError


def _may_pass(error: Exception) -> bool:
    """Whether it may go well later: the server is away, starts, or is too busy."""
    words = str(error).lower()
    signs = ("unavailable", "connect", "timeout", "deadline", "not ready", "rate limit", "closed")
    return isinstance(error, ConnectionError) or any(sign in words for sign in signs)


def _column(name: str) -> str:
    return f"columns[{json.dumps(name)}]"


def _entity(item: dict[str, Any], kind: str, vector: npt.NDArray[np.float32]) -> dict[str, Any]:
    text = json.dumps(item, default=str, ensure_ascii=False)
    if len(text.encode()) > _MAX_ITEM:
        raise ModelFormatError(f"the item {item['id']!r} has more than {_MAX_ITEM} bytes of text")
    columns = {name: value for name, value in item.items() if value is not None}
    return {
        "id": item["id"],
        "vector": vector.tolist(),
        "item": text,
        "columns": json.loads(json.dumps({**columns, MODALITY: kind}, default=str)),
    }


def _item(text: str) -> Item:
    row = json.loads(text)
    return Item(
        id=row["id"],
        path=row["path"],
        sentences=tuple(row["sentences"] or ()),
        label=row["label"],
        metadata={name: value for name, value in row.items() if name not in COLUMNS},
    )


def _found(answer: Sequence[dict[str, Any]], query: npt.NDArray[np.float64]) -> Found:
    """Milvus' hits, scored again in float64."""
    entities = [hit["entity"] for hit in answer]
    vectors = np.array([entity["vector"] for entity in entities], dtype=np.float32)
    vectors = vectors.reshape(len(entities), len(query))
    scores = (vectors.astype(np.float64) * query).sum(axis=1)
    items = [json.loads(entity["item"]) for entity in entities]
    order = sorted(range(len(items)), key=lambda at: (-scores[at], items[at]["id"]))
    return Found([items[at] for at in order], scores[order], vectors[order])
