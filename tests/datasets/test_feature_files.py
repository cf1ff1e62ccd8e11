import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io

import cmr_hub
from cmr_hub.datasets import Features, load_dataset
from cmr_hub.errors import CMRError, DataFormatError, DataNotFoundError, TrainingError
from cmr_hub.model_training import load_training_data

COUNT = 30


@pytest.fixture
def arrays():
    random = np.random.default_rng(3)
    labels = (random.random((COUNT, 4)) < 0.4).astype(np.uint8)
    labels[labels.sum(axis=1) == 0, 0] = 1
    centres = random.normal(size=(4, 6))
    return {
        "images": (labels @ centres + 0.1 * random.normal(size=(COUNT, 6))).astype(np.float32),
        "texts": labels @ centres[:, :5] + 0.1 * random.normal(size=(COUNT, 5)),
        "labels": labels,
        "split": np.array(["train"] * 20 + ["val"] * 5 + ["test"] * 5),
    }


def write(folder, kind, arrays):
    """Write arrays in one of the formats and return the path to read."""
    path = folder / f"mine.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    elif kind == "parquet":
        columns = {name: list(array) for name, array in arrays.items()}
        pq.write_table(pa.table(columns), path)
    elif kind == "npy":
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        return folder
    return path


@pytest.mark.parametrize("kind", ["npz", "parquet", "npy"])
def test_every_format_gives_the_same(arrays, tmp_path, kind):
    dataset = Features(write(tmp_path, kind, arrays))
    np.testing.assert_array_equal(dataset.image_features, arrays["images"])
    np.testing.assert_allclose(dataset.text_features, arrays["texts"], rtol=1e-6)
    np.testing.assert_array_equal(dataset.labels, arrays["labels"])
    assert dataset.classes == ("0", "1", "2", "3")
    assert [len(dataset.split(name)) for name in dataset.split_names] == [20, 5, 5]
    assert dataset.label_name(0) == ", ".join(map(str, np.flatnonzero(arrays["labels"][0])))


@pytest.mark.parametrize(
    ("images", "texts", "labels"),
    [
        ("I_{}", "T_{}", "L_{}"),
        ("I_{}_CNN", "T_{}_BOW", "{}ImgCat"),
        ("{}_imgs_deep", "{}_texts_doc", "{}_imgs_labels"),
        ("Img{}", "Tag{}", "Lab{}"),
        ("X{}", "Y{}", "L{}"),
        ("{}_image_features", "{}_text_features", "{}_y"),
    ],
)
def test_usual_names_of_matlab_files_in_parts(arrays, tmp_path, images, texts, labels):
    numbers = np.arange(COUNT) % 3 + 1.0
    words = ("Train", "Query") if images[0] in "XI" and "_" not in images else ("tr", "te")
    if images.startswith("{"):
        words = ("train", "test")
    variables = {"unrelated_tr": np.eye(2)}
    for word, rows in zip(words, (slice(0, 20), slice(20, COUNT)), strict=True):
        variables[images.format(word)] = arrays["images"][rows]
        variables[texts.format(word)] = arrays["texts"][rows]
        variables[labels.format(word)] = numbers[rows]  # (1, N), as MATLAB stores a column
    scipy.io.savemat(tmp_path / "mine.mat", variables)
    dataset = Features(tmp_path / "mine.mat")
    np.testing.assert_array_equal(dataset.image_features, arrays["images"])
    assert dataset.labels.tolist() == (numbers - 1).astype(int).tolist()
    assert dataset.classes == ("1", "2", "3")
    assert [len(dataset.split(name)) for name in dataset.split_names] == [20, 10]


@pytest.mark.parametrize(
    ("labels", "expected", "classes"),
    [
        (np.eye(3)[[2, 0, 1]], [2, 0, 1], ("0", "1", "2")),
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        ([["dog", "cat"], ["cat"], []], [[1, 1], [1, 0], [0, 0]], ("cat", "dog")),
        (np.array([[1, 1], [0, 1], [0, 0]]), [[1, 1], [0, 1], [0, 0]], ("0", "1")),
        (np.array([[5.0], [7.0], [5.0]]), [0, 1, 0], ("5", "7")),
        ([-1, -1, -1], [-1, -1, -1], ()),
        ([7, -1, 5], [1, -1, 0], ("5", "7")),
        (["dog", None, ""], [0, -1, -1], ("dog",)),
    ],
)
def test_forms_of_labels(tmp_path, labels, expected, classes):
    table = pa.table({"image": [[0.0], [1.0], [2.0]], "text": [[1.0]] * 3, "label": list(labels)})
    pq.write_table(table, tmp_path / "mine.parquet")
    dataset = Features(tmp_path / "mine.parquet")
    assert dataset.labels.tolist() == expected
    assert dataset.classes == classes


def test_arrays_are_named_by_the_protocol_and_measured_again(arrays, tmp_path):
    named = dict(zip(("a", "b", "c", "d"), arrays.values(), strict=True))
    path = write(tmp_path, "npz", named)
    with pytest.raises(DataFormatError, match=r"no array has a usual name.*a, b, c, d.*--protocol"):
        Features(path)
    protocol = "images=a,texts=b,labels=c,split=d"
    model = cmr_hub.train(
        "features",
        root=path,
        protocol=protocol,
        preset="supcon",
        epochs=2,
    )
    assert model.training["protocol"] == protocol
    figures = cmr_hub.evaluate(model, root=path)
    assert figures.report.to_dict()["ndcg_i2t"] == model.training["ndcg_i2t"]
    assert (
        cmr_hub.evaluate(model, "features", root=path, protocol=protocol).report == figures.report
    )


def test_a_path_is_enough_and_without_splits_a_part_is_held_out(arrays, tmp_path):
    path = write(tmp_path, "npz", {name: arrays[name] for name in ("images", "texts", "labels")})
    loaded = load_training_data(["features"], path)
    assert loaded.protocol == "arrays (0.2 held out, seed 0)"
    assert [len(loaded.split(name)) for name in loaded.split_names] == [24, 6]
    model = cmr_hub.train(str(path), preset="infonce", epochs=2)
    assert model.training["dataset"] == "features"
    assert cmr_hub.evaluate(model, root=path).report.i2t.n_queries == 6
    assert cmr_hub.evaluate(model, path, split="all").report.i2t.n_queries == 30


def test_a_method_that_needs_one_class_refuses(arrays, tmp_path):
    path = write(tmp_path, "npz", arrays)
    with pytest.raises(TrainingError, match=r"several labels per item.*exactly one.*supcon"):
        cmr_hub.train("features", root=path, preset="posterior")


class Hdf5File(dict):
    """Stands in for `h5py.File`, which is no dependency."""

    def __init__(self, path, mode):
        assert mode == "r"
        arrays = scipy.io.loadmat(path.with_suffix(".v5"), squeeze_me=False)
        super().__init__({name: rows for name, rows in arrays.items() if name[0] != "_"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __getitem__(self, name):
        return {(): super().__getitem__(name)}

    def visititems(self, visit):
        for name, rows in self.items():
            visit(name, rows)
        visit("group", object())


def test_hdf5_needs_h5py_and_matlab_stores_it_transposed(arrays, tmp_path, monkeypatch):
    path = tmp_path / "mine.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataFormatError, match="pip install h5py"):
        Features(path)
    monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace(File=Hdf5File))
    stored = {"IAll": arrays["images"].T, "YAll": arrays["texts"].T, "LAll": arrays["labels"].T}
    with path.with_suffix(".v5").open("wb") as file:
        scipy.io.savemat(file, stored)
    dataset = Features(path)
    np.testing.assert_array_equal(dataset.image_features, arrays["images"])
    np.testing.assert_array_equal(dataset.labels, arrays["labels"])


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "mine.npz", images=np.array([{"a": 1}], dtype=object), texts=np.eye(2))
    with pytest.raises(DataFormatError, match=r"images cannot be read.*allow_pickle=False"):
        Features(tmp_path / "mine.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": np.eye(3)}, r"row i of the images.*\[30\] and \[3\]"),
        ({"texts": None}, "no texts for the images"),
        ({"images": np.full((COUNT, 2), np.nan)}, "not finite"),
        ({"split": np.array(["train"] * 29 + ["fold1"])}, "including 'fold1'"),
        ({"split": np.array(["train"])}, "there are 1"),
        ({"labels": np.full((COUNT, 2), 3)}, "rows of 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit(arrays, tmp_path, change, message):
    changed = {name: array for name, array in (arrays | change).items() if array is not None}
    with pytest.raises(DataFormatError, match=message):
        Features(write(tmp_path, "npz", changed))


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("images=images,texts=words", "there is no array words"),
        ("pictures=images,texts=texts", "pictures is none of images, texts"),
        ("images.train=images,texts=texts", r"no texts"),
        ("all", "protocol of features 'all'"),
    ],
)
def test_protocols_that_name_nothing(arrays, tmp_path, protocol, message):
    path = write(tmp_path, "npz", arrays)
    with pytest.raises(CMRError, match=message):
        Features(path, protocol)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.npz", b"PK\x03\x04 damaged", "cannot be read"),
        ("mine.npz", b"\x80\x04K\x01.", "cannot be read"),  # a pickle
        ("mine.mat", b"damaged", "as a MATLAB file"),
        ("mine.parquet", b"PAR1", "not Parquet"),
        ("mine.npy", b"", "pass its folder"),
        ("mine.txt", b"1 2 3", "is none of"),
    ],
)
def test_damaged_and_other_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFormatError, match=message):
        Features(tmp_path / name)


@pytest.mark.parametrize("root", [None, "missing.npz", "."])
def test_there_is_no_file(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataNotFoundError):
        load_dataset("features", root)
