"""Storage of a gallery in a Milvus server or cluster, through `pymilvus`.

There is one collection per modality, `<name>_image` and `<name>_text`, because Milvus before 2.4
allows only one vector per row. `<name>_neutral` is described in `milvus_neutral`. A row stores its
item twice: as text, which searches return, and as JSON by column, for conditions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from tqdm import tqdm

from cmr_hub.errors import ModelFormatError, QueryError, shown
from cmr_hub.gallery.items import COLUMNS, MODALITY, Item, items_table, joined_tables
from cmr_hub.gallery.milvus_neutral import read_neutral, write_neutral
from cmr_hub.gallery.milvus_server import MilvusAddress, MilvusServer
from cmr_hub.gallery.milvus_where import milvus_condition
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.store import Found
from cmr_hub.gallery.stored import NONE_DISMISSED
from cmr_hub.gallery.values import as_text, common_type
from cmr_hub.gallery.vectors import VectorColumn, refuse_other_lengths
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from cmr_hub.gallery.clear import Neutral
    from cmr_hub.gallery.text_in_pictures import TextCondition
    from cmr_hub.gallery.where import Where

_BATCH = 512
_MAX_ID, _MAX_ITEM, _MAX_HITS = 256, 65_535, 16_384
_INDEX = {"M": 32, "efConstruction": 200}
_EF = 320
_TRUSTED = 10
"""Number of seconds for which a result is assumed to be current."""
_PAIR = f'columns["{MODALITY}"] == "pair"'
_ONLY_TEXT = f'columns["{MODALITY}"] == "text"'


class MilvusStore:
    """A store in a Milvus server; implements `store.Store`.

    When `put` and `remove` return, the change is in the log of Milvus. Both are idempotent: rows
    are identified by their id, which `cmr index` derives from the content.

    Args:
        address: address of the server and the collections.
        model_id: fingerprint of the model that makes the vectors. Default: the stored one.
        model_name: the name under which `cmr_hub.load` finds the model.

    Raises:
        CMRError: `pymilvus` is not installed, or the server does not answer.
        ModelFormatError: another model made the collections, or they do not exist.
    """

    def __init__(
        self, address: MilvusAddress, model_id: str | None = None, model_name: str | None = None
    ) -> None:
        self.address = address
        self.server = MilvusServer(address)
        self.dim: int | None = None
        self.existing: set[Modality] = set()
        self._neutral: Neutral | None = None
        self._has_read_neutral = False
        stored = self._connect()
        if not stored and model_id is None:
            raise ModelFormatError(f"there is no gallery at {address}; make one with `cmr index`")
        self.model_id = str(stored.get("model_id", model_id))
        self.model_name: str | None = stored.get("model_name", model_name)
        if model_id is not None and model_id != self.model_id:
            raise ModelFormatError(
                f"the gallery at {address} has vectors of model {shown(self.model_id)}, not of "
                f"{shown(model_id)}: choose another collection"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # The token and certificates are read from the environment, so that no pickle contains them.
        return _reopened, (str(self.address),)

    def __len__(self) -> int:
        return self._count("image") + self._count("text", _ONLY_TEXT)

    @property
    def targets(self) -> tuple[Modality, ...]:
        return tuple(target for target in get_args(Modality) if target in self.existing)

    @property
    def vector_counts(self) -> dict[Modality, int]:
        counts = {target: self._count(target) for target in get_args(Modality)}
        return {target: count for target, count in counts.items() if count}

    @property
    def changes(self) -> int:
        # The server does not report changes by other clients.
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
        """Do nothing, because Milvus allows concurrent writers."""
        yield

    def put(self, rows: Segment, *, replacing: Sequence[str] = ()) -> None:
        if not len(rows):
            return
        items = rows.items.to_pylist()
        ids = [item["id"] for item in items]
        if max(len(id_.encode()) for id_ in ids) > _MAX_ID:
            raise ModelFormatError(f"ids in Milvus must have at most {_MAX_ID} bytes")
        numbers = {name: column.rows.tolist() for name, column in rows.vectors.items()}
        pairs = set(numbers.get("image", ())) & set(numbers.get("text", ()))
        # Before rows are removed, because this raises an error if an item is too long.
        entities = {
            target: [
                _entity(items[row], "pair" if row in pairs else target, vector)
                for row, vector in zip(numbers[target], column.matrix, strict=True)
            ]
            for target, column in rows.vectors.items()
        }
        # After a kill, indexing resumes with the items that `table` does not list. `table` reads
        # the image vectors, so these are written last.
        self.remove(replacing)
        for target in get_args(Modality):
            with_vector = set(numbers.get(target, ()))
            self._delete(target, [ids[row] for row in range(len(ids)) if row not in with_vector])
        for target in ("text", "image"):
            if target not in rows.vectors:
                continue
            self._prepare(target, rows.vectors[target].matrix.shape[1])
            for part in _batches(entities[target]):
                self.server.call("upsert", self._collection(target), part)

    @property
    def dismissed(self) -> pa.Table:
        """Empty, because removed pictures are not recorded in Milvus."""
        return NONE_DISMISSED

    def set_dismissed(self, dismissed: pa.Table) -> None:
        """Do nothing; see `dismissed`."""

    @property
    def copies(self) -> Mapping[str, int]:
        """Empty. To find copies, all rows would be read from the server."""
        return {}

    def remove(self, ids: Sequence[str], *, dismiss: bool = False) -> int:
        known = self.known(ids)
        for target in self.targets:  # pictures first, see `_complete`
            self._delete(target, ids)
        return len(known)

    def set_columns(self, columns: pa.Table) -> None:
        """Replace columns batch by batch. After a kill, call this again to finish."""
        for part in _batches(self.table().column("id").to_pylist()):
            self.put(self.rows(part).with_columns(columns))

    def table(self, where: Where | None = None) -> pa.Table:
        return self._table("" if where is None else milvus_condition(where))

    def table_below(self, folder: str) -> pa.Table:
        # All paths that begin with `folder/`, because "0" is the character after "/".
        path, start = 'columns["path"]', folder.rstrip("/")
        first, last = json.dumps(f"{start}/"), json.dumps(f"{start}0")
        return self._table(f"{path} >= {first} and {path} < {last}")

    def table_sized(self, sizes: Collection[int]) -> pa.Table:
        parts = _batches(sorted(sizes))
        return joined_tables([self._table(f'columns["size"] in {part}') for part in parts])

    def known(self, ids: Sequence[str]) -> set[str]:
        return {row["id"] for _, row in self._complete(ids, [])}

    def _table(self, condition: str) -> pa.Table:
        only_text = f"({condition}) and {_ONLY_TEXT}" if condition else _ONLY_TEXT
        items = [
            _item(row["item"])
            for target, expression in (("image", condition), ("text", only_text))
            for row in self._rows(target, expression, ["item"])
        ]
        return _table_of(items)

    def rows(self, ids: Sequence[str]) -> Segment:
        items: dict[str, Item] = {}
        vectors: dict[Modality, dict[str, Any]] = {target: {} for target in get_args(Modality)}
        for target, row in self._complete(ids, ["item", "vector"]):
            items[row["id"]] = _item(row["item"])
            vectors[target][row["id"]] = row["vector"]
        columns = {}
        for target, by_id in vectors.items():
            numbers = [number for number, id_ in enumerate(items) if id_ in by_id]
            if numbers:
                matrix = np.array([by_id[id_] for id_ in items if id_ in by_id], dtype=np.float32)
                columns[target] = VectorColumn(matrix, np.array(numbers, dtype=np.int64))
        return Segment(_table_of(list(items.values())), columns)

    def search(
        self,
        queries: npt.NDArray[np.float64],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[Found]:
        if target not in self.existing:
            nothing = np.empty((0, queries.shape[1]), np.float32)
            return [Found([], np.empty(0), nothing) for _ in queries]
        if count > _MAX_HITS:
            raise QueryError(f"Milvus returns at most {_MAX_HITS:,} hits: request fewer")
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

    @property
    def has_text(self) -> bool:
        """False, because words cannot be searched for in Milvus."""
        return False

    def search_words(
        self,
        query: npt.NDArray[np.float64],
        words: Sequence[str],
        count: int,
        target: Modality,
        where: Where | TextCondition | None = None,
    ) -> list[tuple[float, Found]]:
        return []

    def optimise(self, *, progress: bool = False) -> None:
        """Flush the collections. Milvus builds the indexes."""
        for target in tqdm(sorted(self.existing), "flushing", disable=None if progress else True):
            self.server.call("flush", self._collection(target))

    def compact(self, *, progress: bool = False) -> None:
        """Let Milvus free the space of removed rows asynchronously.

        This also removes the incomplete pairs of killed processes, so there must be no other
        writer.
        """
        self._delete("text", sorted(self._pairs("text") - self._pairs("image")))
        self.optimise(progress=progress)
        for target in self.existing:
            self.server.call("compact", self._collection(target))

    def verify(self) -> None:
        """Read all rows, and compare the collections.

        Raises:
            ModelFormatError: ids are not unique, vectors are invalid, or pairs are incomplete.
        """
        pairs: dict[str, set[str]] = {}
        for target in self.existing:
            known: set[str] = set()
            pairs[target] = set()
            for row in self._rows(target, "", ["columns", "vector"]):
                if row["id"] in known:
                    raise ModelFormatError(
                        f"{self.address}: two {target} rows have the id {shown(row['id'])}: "
                        "index again"
                    )
                known.add(row["id"])
                if row["columns"][MODALITY] == "pair":
                    pairs[target].add(row["id"])
                refuse_other_lengths(target, np.array([row["vector"]], dtype=np.float32))
        incomplete = pairs.get("image", set()) ^ pairs.get("text", set())
        if incomplete:
            raise ModelFormatError(
                f"{self.address}: {len(incomplete)} pairs have only one vector, e.g. "
                f"{shown(min(incomplete))}: index again, then compact"
            )

    def facts(self) -> dict[str, str]:
        version = self.server.call("get_server_version")
        return {"server": f"{self.address}, Milvus {version}", "search": f"graph, {_INDEX}"}

    def _collection(self, target: str) -> str:
        return f"{self.address.collection}_{target}"

    def _connect(self) -> dict[str, Any]:
        """Load the existing collections and return their description."""
        description: dict[str, Any] = {}
        for target in get_args(Modality):
            name = self._collection(target)
            if not self.server.call("has_collection", name):
                continue
            collection = self.server.call("describe_collection", name)
            try:
                description = json.loads(collection["description"])
                self.dim = int(description["dim"])
            except (ValueError, KeyError, TypeError) as error:
                raise ModelFormatError(
                    f"{name} exists and is not a gallery: choose another collection"
                ) from error
            self._load(name)
            self.existing.add(target)
        return description

    def _prepare(self, target: Modality, dim: int) -> None:
        """Create the collection of a modality if it does not exist."""
        if target in self.existing:
            return
        from pymilvus import DataType

        client = self.server.client
        description = {"model_id": self.model_id, "model_name": self.model_name, "dim": dim}
        schema = client.create_schema(auto_id=False, description=json.dumps(description))
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_MAX_ID)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field("item", DataType.VARCHAR, max_length=_MAX_ITEM)
        schema.add_field("columns", DataType.JSON)
        name = self._collection(target)
        self.server.call("create_collection", name, schema=schema, consistency_level="Strong")
        self._load(name)
        self.existing.add(target)
        self.dim = dim

    def _load(self, name: str) -> None:
        """Make a collection searchable. Create its index if it is missing after a kill."""
        if not self.server.call("list_indexes", name):
            indexes = self.server.client.prepare_index_params()
            indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=_INDEX)
            self.server.call("create_index", name, indexes)
        self.server.call("load_collection", name)

    def _delete(self, target: Modality, ids: Sequence[str]) -> None:
        if target in self.existing:
            for part in _batches(ids):
                self.server.call("delete", self._collection(target), ids=part)

    def _complete(
        self, ids: Sequence[str], fields: list[str]
    ) -> Iterator[tuple[Modality, dict[str, Any]]]:
        """Yield the rows with these ids except incomplete pairs, as `table` does.

        A process that is killed while it writes a pair leaves only the text vector. If that row
        counted, the next run would give the picture another id.
        """
        with_image: set[str] = set()
        fields = ["id", "columns", *fields]
        for target in self.targets:
            name = self._collection(target)
            for part in _batches(ids):
                for row in self.server.call("get", name, ids=part, output_fields=fields):
                    if target == "image":
                        with_image.add(row["id"])
                    elif row["columns"][MODALITY] == "pair" and row["id"] not in with_image:
                        continue
                    yield target, row

    def _pairs(self, target: Modality) -> set[str]:
        return {row["id"] for row in self._rows(target, _PAIR, [])}

    def _rows(self, target: str, condition: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows that satisfy a condition."""
        if target in self.existing:
            name, fields = self._collection(target), ["id", *fields]
            for page in self.server.pages(
                name, batch_size=1000, filter=condition, output_fields=fields
            ):
                yield from page

    def _count(self, target: Modality, condition: str = "") -> int:
        if target not in self.existing:
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


def _table_of(items: Sequence[Item]) -> pa.Table:
    """Return the table of items; a column with several types of values becomes text."""
    types: dict[str, set[type]] = {}
    for item in items:
        for name, value in item.metadata.items():
            if value is not None:
                types.setdefault(name, set()).add(type(value))
    texts = {name for name, found in types.items() if len(found) > 1 and common_type(found) is str}
    if texts:
        items = [
            replace(
                item,
                metadata={
                    name: as_text(value) if name in texts and value is not None else value
                    for name, value in item.metadata.items()
                },
            )
            for item in items
        ]
    return items_table(items)


def _found(answer: Sequence[dict[str, Any]], query: npt.NDArray[np.float64]) -> Found:
    """Convert the hits of Milvus, with scores in float64."""
    entities = [hit["entity"] for hit in answer]
    vectors = np.array([entity["vector"] for entity in entities], dtype=np.float32)
    vectors = vectors.reshape(len(entities), len(query))
    scores = (vectors.astype(np.float64) * query).sum(axis=1)
    items = [json.loads(entity["item"]) for entity in entities]
    order = sorted(range(len(items)), key=lambda row: (-scores[row], items[row]["id"]))
    return Found([items[row] for row in order], scores[order], vectors[order])


def _reopened(address: str) -> MilvusStore:
    return MilvusStore(MilvusAddress.parse(address))
