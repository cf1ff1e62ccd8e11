"""What was saved is what is read, to the bit: every format, whatever is in it."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.experiments.artifacts import read_curve, write_curve
from cmr_hub.experiments.plan import Plan, PlannedRow, PlannedTable
from cmr_hub.experiments.results import append_run, read_runs
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.float16 import from_half, rounded_to_half, to_half
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.graph import Graph
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.tensors import map_tensors, write_tensors
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.models.config import ModelConfig, read_config
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from cmr_hub.training.snapshots import read_snapshots, write_snapshots

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAME = st.text("abcxyzé-09", min_size=1, max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KINDS = st.dictionaries(
    NAME, st.sampled_from([np.float32, np.int64, np.int32, np.uint8]), max_size=4
)
SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


def matrices(shape: tuple[int, ...], dtype: Any = np.float32, **options: Any) -> Any:
    return arrays(dtype, shape, elements=st.floats(-100, 100, width=16, **options))


@given(KINDS, st.data())
def test_tensors(kinds: dict[str, Any], data: st.DataObject) -> None:
    given_ = {name: data.draw(arrays(kind, SHAPES)) for name, kind in kinds.items()}
    with TemporaryDirectory() as folder:
        write_tensors(Path(folder) / "x", {name: [array] for name, array in given_.items()})
        found = map_tensors(Path(folder) / "x")
        assert found.keys() == given_.keys()
        for name, array in given_.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()


@given(KINDS, st.data())
def test_halves(kinds: dict[str, Any], data: st.DataObject) -> None:
    given_ = {name: data.draw(arrays(kind, SHAPES)) for name, kind in kinds.items()}
    for name, found in from_half(to_half(given_)).items():
        assert found.dtype == given_[name].dtype
        np.testing.assert_array_equal(found, given_[name])
        np.testing.assert_array_equal(np.signbit(found), np.signbit(given_[name]))


@given(arrays(np.float32, SHAPES, elements=FINITE))
def test_rounding_once_is_rounding_twice(array: np.ndarray) -> None:
    if (np.abs(array) > 65519).any():
        with pytest.raises(ValueError, match="float16"):
            rounded_to_half(array)
        return
    rounded = rounded_to_half(array)
    np.testing.assert_array_equal(rounded_to_half(rounded), rounded)
    assert to_half({"x": rounded})["x"].dtype == np.float16
    assert (np.abs(rounded - array) <= np.maximum(np.abs(array) * 2.0**-11, 2.0**-25)).all()


NAME = st.text(max_size=10)
REAL = st.floats(-(2.0**62), 2.0**62, width=32)
FIGURE = st.one_of(st.none(), REAL)
RECORD = st.fixed_dictionaries(
    {
        **dict.fromkeys(("dataset", "protocol", "image_encoder", "text_encoder", "preset"), NAME),
        **dict.fromkeys(("map_i2t", "map_t2i", "map_avg", "map50_avg"), FIGURE),
        **dict.fromkeys(("image_accuracy", "text_accuracy"), FIGURE),
        **dict.fromkeys(("seed", "epochs"), st.integers(-(2**63), 2**63 - 1)),
        "objective": NAME,
        "seconds": REAL,
        "versions": st.dictionaries(st.text(max_size=5), JSON, max_size=2),
    },
    optional={"note": JSON, "cell": st.text(max_size=5), "settings": st.just({"a": [1]})},
)


@given(st.lists(RECORD, min_size=1, max_size=3))
def test_runs(runs: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        for run in runs:
            append_run(run, Path(folder) / "runs.jsonl")
        expected = [RunRecord.parse(run) for run in runs]
        assert read_runs(Path(folder) / "runs.jsonl") == (expected, [])


@given(st.lists(st.tuples(st.sampled_from(["select", "final"]), st.integers(1, 99), FINITE)))
def test_curves(rows: list[tuple[str, int, float]]) -> None:
    history = [{"phase": phase, "epoch": epoch, "loss": loss} for phase, epoch, loss in rows]
    with TemporaryDirectory() as folder:
        write_curve(history, Path(folder), "ab" * 32)
        found = read_curve(Path(folder), "ab" * 32)
    assert found is not None
    for phase, columns in found.items():
        mine = [row for row in history if row["phase"] == phase]
        assert columns["epoch"] == [row["epoch"] for row in mine]
        for one, row in zip(columns["loss"], mine, strict=True):
            assert math.isclose(one or 0.0, row["loss"], rel_tol=1e-3, abs_tol=1e-40)


ROW = st.builds(
    PlannedRow,
    label=TEXT,
    dataset=TEXT,
    protocol=TEXT,
    image_encoder=TEXT,
    text_encoder=TEXT,
    method=TEXT,
    published=st.lists(TEXT, max_size=2).map(tuple),
    cells=st.dictionaries(st.integers(0, 99), TEXT, max_size=3),
    tested_on=st.none() | TEXT,
)
TABLE = st.builds(
    PlannedTable,
    id=TEXT,
    title=TEXT,
    reference=TEXT,
    published=st.just(()),
    rows=st.lists(ROW, max_size=2).map(tuple),
)


@given(st.builds(Plan, name=st.just("g"), title=TEXT, tables=st.lists(TABLE).map(tuple)))
def test_plans(plan: Plan) -> None:
    with TemporaryDirectory() as folder:
        plan.save(Path(folder))
        assert Plan.load(Path(folder) / "grids" / "g.json") == plan


@given(
    st.lists(TEXT.filter(lambda text: "\n" not in text), min_size=1, max_size=4, unique=True),
    st.sets(st.integers(0, 999_999), min_size=1, max_size=3),
    st.data(),
)
def test_snapshots(ids: list[str], epochs: set[int], data: st.DataObject) -> None:
    stages = {
        epoch: (data.draw(matrices((len(ids), 3))), data.draw(matrices((len(ids), 3))))
        for epoch in epochs
    }
    with TemporaryDirectory() as folder:
        write_snapshots(Path(folder) / "s", ids, stages)
        names, found = read_snapshots(Path(folder) / "s")
    assert names == tuple(ids)
    assert list(found) == sorted(stages)
    for epoch, pair in stages.items():
        for mine, read in zip(pair, found[epoch], strict=True):
            np.testing.assert_array_equal(read, mine)


@given(
    st.lists(st.dictionaries(TEXT, FINITE | st.text(max_size=5), max_size=3), max_size=3),
    st.floats(allow_nan=False),
    st.dictionaries(NAME, arrays(np.float32, SHAPES), max_size=3),
)
def test_checkpoints(history: list[Any], score: float, tensors: dict[str, np.ndarray]) -> None:
    progress = Progress(3, history, 2, score, finished=True)
    given_ = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    with TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "c", "key", progress, given_)
        found = read_checkpoint(Path(folder) / "c", "key")
    assert found is not None
    assert found[0] == progress
    assert found[1].keys() == given_.keys()
    for name, value in given_.items():
        assert found[1][name].numpy().tobytes() == value.numpy().tobytes()


PROJECTOR = st.fixed_dictionaries(
    {
        "in_dim": st.integers(1, 6),
        "hidden": st.lists(st.integers(1, 5), max_size=2),
        "dim": st.just(4),
        "activation": st.sampled_from(["relu", "tanh"]),
        "dropout": st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
        "output": st.sampled_from(["linear", "sphere", "softmax", "tanh", "posterior-0"]),
        "radius": st.floats(0.1, 100),
    }
)


@given(PROJECTOR, PROJECTOR, st.dictionaries(TEXT, JSON, max_size=2), st.integers(0, 99))
def test_models(
    image: dict[str, Any], text: dict[str, Any], told: dict[str, Any], seed: int
) -> None:
    torch.manual_seed(seed)
    model = CrossModalModel(
        ImageTower(None, Projector(**image)), TextTower(None, Projector(**text)), training=told
    )
    features = torch.randn(3, image["in_dim"]).numpy(), torch.randn(3, text["in_dim"]).numpy()
    with TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder) / "m")
        found = CrossModalModel.from_pretrained(Path(folder) / "m")
        config = read_config(Path(folder) / "m" / "config.json")
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config
    assert found.fingerprint == model.fingerprint
    for own, read, rows in (
        (model.image.projector, found.image.projector, features[0]),
        (model.text.projector, found.text.projector, features[1]),
    ):
        np.testing.assert_array_equal(read.embed(rows), own.embed(rows))


@given(st.lists(TEXT, min_size=1, max_size=5), st.sampled_from(["tfidf", "count"]), TEXT)
def test_text_encoders(texts: list[str], weighting: str, asked: str) -> None:
    documents = [[text, "always something"] for text in texts]
    encoder = BowEncoder(weighting=weighting, stop_words=None).fit(documents)
    with TemporaryDirectory() as folder:
        save_text_encoder(encoder, folder)
        found = load_text_encoder(folder)
    asked_of = [*documents, [asked]]
    np.testing.assert_array_equal(found.transform(asked_of), encoder.transform(asked_of))
    assert found.unknown_words(asked) == encoder.unknown_words(asked)


class Given:
    """An encoder of pictures that gives the rows it was given, each once."""

    name, fingerprint, placement = "given", "a" * 64, Placement()

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.dim = rows, rows.shape[1]
        self.asked = 0

    def encode(self, images: list[Any]) -> np.ndarray:
        self.asked += len(images)
        return self.rows[[image.getpixel((0, 0))[0] for image in images]]


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4))), st.data())
def test_features(rows: np.ndarray, data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, len(rows) - 1), max_size=8)
    encoder, known = Given(rows), set()
    with TemporaryDirectory() as folder:
        for chosen in (data.draw(numbers), data.draw(numbers)):
            images = [Image.new("RGB", (1, 1), (number, 0, 0)) for number in chosen]
            found = FeatureCache(folder).encode(encoder, images)
            np.testing.assert_array_equal(found, rows[chosen] if chosen else found)
            known |= set(chosen)
            assert encoder.asked == len(known)


ITEMS = st.lists(
    st.builds(
        Item,
        id=TEXT.filter(bool),
        path=st.none() | NAME.map(lambda name: Path("/pictures") / name),
        sentences=st.lists(TEXT, max_size=2).map(tuple),
        label=st.none() | TEXT,
        metadata=st.fixed_dictionaries({}, optional={"year": st.integers(-9, 9), "é": TEXT}),
    ),
    max_size=6,
    unique_by=lambda item: item.id,
)


@given(ITEMS, st.integers(1, 4), st.data())
def test_galleries(items: list[Item], dim: int, data: st.DataObject) -> None:
    generator = np.random.default_rng(len(items))
    vectors = {}
    for target in ("image_embeddings", "text_embeddings"):
        rows = np.array(sorted(data.draw(st.sets(st.sampled_from(range(6))))), np.int64)
        rows = rows[rows < len(items)]
        matrix = generator.normal(size=(len(rows), dim))
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        vectors[target] = VectorColumn(matrix.astype(np.float32), rows)
    gallery = Gallery.from_vectors(items_table(items), **vectors, model_id="é")
    with TemporaryDirectory() as folder:
        gallery.save(Path(folder) / "g")
        found = Gallery.open(Path(folder) / "g")
        assert found.items.equals(gallery.items)
        assert (found.model_id, found.targets) == (gallery.model_id, gallery.targets)
        for target in gallery.targets:
            np.testing.assert_array_equal(found.vectors(target), gallery.vectors(target))


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
def test_graphs(count: int, dim: int, seed: int) -> None:
    """Eight bits a number: what is read finds the same, with the same scores."""
    rows = np.random.default_rng(seed).normal(size=(count + 1, dim))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    if rows[:-1].min() == rows[:-1].max():
        return  # one number only has no range
    graph = Graph.for_vectors([rows[:-1]])
    assert sum(graph.add([rows[:-1]])) == count
    with TemporaryDirectory() as folder:
        parts = {name: [array] for name, array in graph.arrays().items()}
        write_tensors(Path(folder) / "g", parts)
        found = Graph.of_arrays(map_tensors(Path(folder) / "g"), dim, count)
    for mine, read in zip(
        graph.search(rows[-1], 5, 1.0, None), found.search(rows[-1], 5, 1.0, None), strict=True
    ):
        np.testing.assert_array_equal(read, mine)
