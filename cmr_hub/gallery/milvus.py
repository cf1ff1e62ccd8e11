"""The store of many machines: a Milvus server or cluster, through `pymilvus`.

One collection for each modality, `<name>_image` and `<name>_text`, because Milvus before 2.4 has
one vector a row; and `<name>_neutral`, see `milvus_neutral`. A row holds its item twice: as text,
which is what comes back, and as JSON by columns, which is what conditions look at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from tqdm import tqdm

from cmr_hub.errors import ModelFormatError, QueryError, shown
from cmr_hub.gallery.items import COLUMNS, MODALITY, Item, items_table
from cmr_hub.gallery.milvus_neutral import read_neutral, write_neutral
from cmr_hub.gallery.milvus_server import MilvusAddress, MilvusServer
from cmr_hub.gallery.milvus_where import milvus_condition
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.store import Found
from cmr_hub.gallery.vectors import VectorColumn, refuse_other_lengths
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.where import Where

_BATCH = 512
_MAX_ID, _MAX_ITEM, _MAX_HITS = 256, 65_535, 16_384
_INDEX = {"M": 32, "efConstruction": 200}
_EF = 320
_TRUSTED = 10
"""Seconds for which an answer is taken to be the one that the server would give again."""
_PAIR = f'columns["{MODALITY}"] == "pair"'
_ONLY_TEXT = f'columns["{MODALITY}"] == "text"'


class MilvusStore:
    """Rows in a Milvus server; see `store.Store`.

    What `put` and `remove` have returned from is in Milvus' log. Both may be done again: rows are
    known by their id, which `cmr index` makes of the content.

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
        self.address = address
        self.server = MilvusServer(address)
        self.dim: int | None = None
        self.there: set[Modality] = set()
        self._neutral: Neutral | None = None
        self._has_read_neutral = False
        noted = self._notes()
        if not noted and model_id is None:
            raise ModelFormatError(f"there is no gallery at {address}; make one with `cmr index`")
        self.model_id = str(noted.get("model_id", model_id))
        self.model_name: str | None = noted.get("model_name", model_name)
        if model_id is not None and model_id != self.model_id:
            raise ModelFormatError(
                f"the gallery at {address} holds vectors of model {shown(self.model_id)}, not of "
                f"{shown(model_id)}: choose another collection"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # The token and the certificates come from the environment again: no pickle holds them.
        return _reopened, (str(self.address),)

    def __len__(self) -> int:
        shown = self._count("image")
        return shown + self._count("text", _ONLY_TEXT)

    @property
    def targets(self) -> tuple[Modality, ...]:
        return tuple(target for target in get_args(Modality) if target in self.there)

    @property
    def vector_counts(self) -> dict[Modality, int]:
        counts = {target: self._count(target) for target in get_args(Modality)}
        return {target: count for target, count in counts.items() if count}

    @property
    def changes(self) -> int:
        # The server does not say when another has changed rows.
        return int(time.monotonic()) // _TRUSTED

    @property
    def neutral(self) -> Neutral | None:
        if not self._has_read_neutral:
            self._neutral = read_neutral(self.server, self._collection("neutral"))
            self._has_read_neutral = True
        return self._neutral

    def keep_neutral(self, neutral: Neutral) -> None:
        write_neutral(self.server, self._collection("neutral"), neutral)
        self._neutral, self._has_read_neutral = neutral, True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Milvus lets many write at once."""
        yield

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        if not len(rows):
            return
        items = rows.items.to_pylist()
        ids = [item["id"] for item in items]
        if max(len(id_.encode()) for id_ in ids) > _MAX_ID:
            raise ModelFormatError(f"an id in Milvus has at most {_MAX_ID} bytes")
        places = {name: column.rows.tolist() for name, column in rows.vectors.items()}
        pairs = set(places.get("image", ())) & set(places.get("text", ()))
        # Before anything is removed: an item may be too long.
        entities = {
            target: [
                _entity(items[at], "pair" if at in pairs else target, vector)
                for at, vector in zip(places[target], column.matrix, strict=True)
            ]
            for target, column in rows.vectors.items()
        }
        # A run that was killed goes on with what `table` has not; so what that looks at, the image
        # vectors, comes last.
        self.remove(replacing)
        for target in get_args(Modality):
            own = set(places.get(target, ()))
            self._delete(target, [ids[at] for at in range(len(ids)) if at not in own])
        for target in ("text", "image"):
            if target not in rows.vectors:
                continue
            self._prepare(target, rows.vectors[target].matrix.shape[1])
            for part in _batches(entities[target]):
                self.server.call("upsert", self._collection(target), part)

    def remove(self, ids: Sequence[str]) -> int:
        there = self.known(ids)
        for target in self.targets:  # the pictures first: see `_there`
            self._delete(target, ids)
        return len(there)

    def set_columns(self, columns: pa.Table) -> None:
        """Part by part: what a kill has left undone is done when it is asked for again."""
        for part in _batches(self.table().column("id").to_pylist()):
            self.put(self.rows(part).with_columns(columns))

    def table(self, where: Where | None = None) -> pa.Table:
        return self._table("" if where is None else milvus_condition(where))

    def table_below(self, folder: str) -> pa.Table:
        # "0" comes after "/": all that begins with `folder/`, whatever letters are in it.
        path, start = 'columns["path"]', folder.rstrip("/")
        first, last = json.dumps(f"{start}/"), json.dumps(f"{start}0")
        return self._table(f"{path} >= {first} and {path} < {last}")

    def known(self, ids: Sequence[str]) -> set[str]:
        return {row["id"] for _, row in self._there(ids, [])}

    def _table(self, condition: str) -> pa.Table:
        both = f"({condition}) and {_ONLY_TEXT}" if condition else _ONLY_TEXT
        items = [
            _item(row["item"])
            for target, part in (("image", condition), ("text", both))
            for row in self._rows(target, part, ["item"])
        ]
        return items_table(items)

    def rows(self, ids: Sequence[str]) -> Segment:
        items: dict[str, Item] = {}
        vectors: dict[Modality, dict[str, Any]] = {target: {} for target in get_args(Modality)}
        for target, row in self._there(ids, ["item", "vector"]):
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
        if count > _MAX_HITS:
            raise QueryError(f"Milvus looks at the best {_MAX_HITS:,} and no further")
        answers = self.server.call(
            "search",
            self._collection(target),
            data=queries.astype(np.float32).tolist(),
            limit=count,
            filter="" if where is None else milvus_condition(where),
            output_fields=["item", "vector"],
            search_params={"metric_type": "IP", "params": {"ef": max(_EF, 2 * count)}},
            consistency_level="Session",
        )
        return [_found(answer, query) for answer, query in zip(answers, queries, strict=True)]

    def optimise(self, *, progress: bool = False) -> None:
        """Asks Milvus to write what is in memory to its storage; it makes its indexes itself."""
        for target in tqdm(sorted(self.there), "flushing", disable=None if progress else True):
            self.server.call("flush", self._collection(target))

    def compact(self, *, progress: bool = False) -> None:
        """Asks Milvus to free the place of removed rows; it does so in its own time.

        Removes too what a kill has left of pairs; nobody should be writing meanwhile.
        """
        self._delete("text", sorted(self._pairs("text") - self._pairs("image")))
        self.optimise(progress=progress)
        for target in self.there:
            self.server.call("compact", self._collection(target))

    def verify(self) -> None:
        """Reads everything and compares both collections.

        Raises:
            ModelFormatError: what is wrong.
        """
        pairs: dict[str, set[str]] = {}
        for target in self.there:
            known: set[str] = set()
            pairs[target] = set()
            for row in self._rows(target, "", ["columns", "vector"]):
                if row["id"] in known:
                    raise ModelFormatError(
                        f"{self.address}: two {target} rows are {shown(row['id'])}"
                    )
                known.add(row["id"])
                if row["columns"][MODALITY] == "pair":
                    pairs[target].add(row["id"])
                refuse_other_lengths(target, np.array([row["vector"]], dtype=np.float32))
        lone = pairs.get("image", set()) ^ pairs.get("text", set())
        if lone:
            raise ModelFormatError(
                f"{self.address}: {len(lone)} pairs have one vector, e.g. {shown(min(lone))}: "
                "index again, then compact"
            )

    def facts(self) -> dict[str, str]:
        version = self.server.call("get_server_version")
        return {"server": f"{self.address}, Milvus {version}", "search": f"graph, {_INDEX}"}

    def _collection(self, target: str) -> str:
        return f"{self.address.collection}_{target}"

    def _notes(self) -> dict[str, Any]:
        """What the collections that are there say of themselves."""
        notes: dict[str, Any] = {}
        for target in get_args(Modality):
            name = self._collection(target)
            if not self.server.call("has_collection", name):
                continue
            told = self.server.call("describe_collection", name)
            try:
                notes = json.loads(told["description"])
                self.dim = int(notes["dim"])
            except (ValueError, KeyError, TypeError) as error:
                raise ModelFormatError(f"{name} is there and is no gallery of ours") from error
            self._load(name)
            self.there.add(target)
        return notes

    def _prepare(self, target: Modality, dim: int) -> None:
        """Makes the collection of a modality, if it is not there."""
        if target in self.there:
            return
        from pymilvus import DataType

        client = self.server.client
        notes = {"model_id": self.model_id, "model_name": self.model_name, "dim": dim}
        schema = client.create_schema(auto_id=False, description=json.dumps(notes))
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_MAX_ID)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field("item", DataType.VARCHAR, max_length=_MAX_ITEM)
        schema.add_field("columns", DataType.JSON)
        name = self._collection(target)
        self.server.call("create_collection", name, schema=schema, consistency_level="Strong")
        self._load(name)
        self.there.add(target)
        self.dim = dim

    def _load(self, name: str) -> None:
        """Makes a collection searchable; a kill may have come before its index was made."""
        if not self.server.call("list_indexes", name):
            indexes = self.server.client.prepare_index_params()
            indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=_INDEX)
            self.server.call("create_index", name, indexes)
        self.server.call("load_collection", name)

    def _delete(self, target: Modality, ids: Sequence[str]) -> None:
        if target in self.there:
            for part in _batches(ids):
                self.server.call("delete", self._collection(target), ids=part)

    def _get(
        self, target: Modality, ids: Sequence[str], fields: list[str]
    ) -> Iterator[dict[str, Any]]:
        """The rows of these ids, as far as they are there."""
        name = self._collection(target)
        for part in _batches(ids):
            yield from self.server.call("get", name, ids=part, output_fields=["id", *fields])

    def _there(
        self, ids: Sequence[str], fields: list[str]
    ) -> Iterator[tuple[Modality, dict[str, Any]]]:
        """The vectors of these ids, as far as `table` has them.

        A kill between the two vectors of a pair leaves that of its text. It does not count: a run
        that goes on would give the picture another id.
        """
        shown: set[str] = set()
        for target in self.targets:
            for row in self._get(target, ids, ["columns", *fields]):
                if target == "image":
                    shown.add(row["id"])
                elif row["columns"][MODALITY] == "pair" and row["id"] not in shown:
                    continue
                yield target, row

    def _pairs(self, target: Modality) -> set[str]:
        return {row["id"] for row in self._rows(target, _PAIR, [])}

    def _rows(self, target: str, condition: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """The rows that pass."""
        if target in self.there:
            name, fields = self._collection(target), ["id", *fields]
            for page in self.server.pages(
                name, batch_size=1000, filter=condition, output_fields=fields
            ):
                yield from page

    def _count(self, target: Modality, condition: str = "") -> int:
        if target not in self.there:
            return 0
        (answer,) = self.server.call(
            "query", self._collection(target), filter=condition, output_fields=["count(*)"]
        )
        return int(answer["count(*)"])


def _batches(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _BATCH):
        yield list(values[start : start + _BATCH])


def _entity(item: dict[str, Any], kind: str, vector: npt.NDArray[np.float32]) -> dict[str, Any]:
    text = json.dumps(item, default=str, ensure_ascii=False)
    if len(text.encode()) > _MAX_ITEM:
        raise ModelFormatError(
            f"the item {shown(item['id'])} has more than {_MAX_ITEM} bytes of text"
        )
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


def _reopened(address: str) -> MilvusStore:
    return MilvusStore(MilvusAddress.parse(address))
