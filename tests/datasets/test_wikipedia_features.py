import hashlib
import struct
import zlib

import numpy as np
import pytest
import scipy.io

from cmr_hub.datasets import FeatureDataset, load_dataset
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError


def digest(*parts):
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def root(tmp_path):
    lines = [f"{digest('t', n)}-1\t{digest('i', n)}\t{n % 10 + 1}\n" for n in range(2866)]
    (tmp_path / "trainset_txt_img_cat.list").write_text("".join(lines[:2173]))
    (tmp_path / "testset_txt_img_cat.list").write_text("".join(lines[2173:]))
    (tmp_path / "categories.list").write_text("".join(f"c{n}\n" for n in range(10)))
    return tmp_path


def save(root, **changes):
    generator = np.random.default_rng(0)
    matrices = {
        "I_tr": generator.random((2173, 4)),
        "I_te": generator.random((693, 4)),
        "T_tr": generator.random((2173, 3)),
        "T_te": generator.random((693, 3)),
    } | changes
    kept = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    scipy.io.savemat(root / "raw_features.mat", kept)
    return matrices


@pytest.mark.parametrize(
    ("text", "file", "variable", "width"),
    [("lda", "raw_features", "T", 10), ("tfidf", "raw_features_tfidf", "T_tfidf", 1000)],
)
def test_real_features(data_home, text, file, variable, width):
    base = data_home / "wikipedia"
    dataset = load_dataset("wikipedia-features", base, text=text)
    assert isinstance(dataset, FeatureDataset)
    assert dataset.image_features.shape == (2866, 128)
    assert dataset.text_features.shape == (2866, width)
    assert dataset.image_features.dtype == dataset.text_features.dtype == np.float32
    matrices = scipy.io.loadmat(base / f"{file}.mat")
    test = dataset.split("test")
    np.testing.assert_allclose(test.text_features, matrices[f"{variable}_te"], rtol=1e-6)
    np.testing.assert_allclose(test.image_features, matrices["I_te"], rtol=1e-6)
    rows = [line.split() for line in (base / "testset_txt_img_cat.list").open()]
    assert test.ids == tuple(row[0] for row in rows)
    assert test.labels.tolist() == [int(row[2]) - 1 for row in rows]


def test_real_features_with_validation(data_home):
    dataset = load_dataset("wikipedia-features", data_home / "wikipedia", "2173/231/462")
    assert [len(dataset.split(name)) for name in dataset.split_names] == [2173, 231, 462]
    whole = load_dataset("wikipedia-features", data_home / "wikipedia").split("test")
    assert dataset.split("validation").ids == whole.ids[:231]


def test_labels_are_those_of_the_features(data_home):
    """Nearest class mean on LDA topics is far above chance only if rows and labels agree."""
    dataset = load_dataset("wikipedia-features", data_home / "wikipedia")
    train, test = dataset.split("train"), dataset.split("test")
    means = np.stack([train.text_features[train.labels == c].mean(axis=0) for c in range(10)])
    nearest = ((test.text_features[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == test.labels).mean() > 0.5


def test_rows_come_in_the_order_of_the_lists(root):
    matrices = save(root)
    dataset = load_dataset("wikipedia-features", root)
    np.testing.assert_allclose(dataset.image_features[:2173], matrices["I_tr"], rtol=1e-6)
    np.testing.assert_allclose(dataset.text_features[2173:], matrices["T_te"], rtol=1e-6)
    assert dataset.ids[0] == f"{digest('t', 0)}-1"


NOT_FINITE = np.ones((2173, 4))
NOT_FINITE[7, 2] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"T_te": None}, "has no T_te; it has I_tr, I_te, T_tr"),
        ({"I_tr": np.ones((2172, 4))}, r"I_tr and I_te should be 2173 and 693 rows.*\(2172, 4\)"),
        ({"T_te": np.ones((693, 5))}, r"T_tr and T_te.*equal width.*\(693, 5\)"),
        ({"I_tr": np.ones((2173, 0)), "I_te": np.ones((693, 0))}, "equal width"),
        ({"I_tr": NOT_FINITE}, "I_tr have values that are not finite"),
        ({"I_te": np.full((693, 4), 1e300)}, "I_te have values that are not finite"),
        ({"T_tr": np.ones((2173, 3)) * 1j}, "T_tr is not a matrix of real numbers"),
        ({"T_tr": np.full((2173, 3), "x", dtype=object)}, "T_tr is not a matrix of real"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_wrong_matrices_are_an_error(root, changes, message):
    save(root, **changes)
    with pytest.raises(DataFormatError, match=message):
        load_dataset("wikipedia-features", root)


@pytest.mark.parametrize("share", [0, 0.01, 0.5])
def test_truncated_file_is_an_error(root, share):
    save(root)
    path = root / "raw_features.mat"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataFormatError, match=r"raw_features\.mat"):
        load_dataset("wikipedia-features", root)


def test_text_is_not_a_matlab_file(root):
    (root / "raw_features.mat").write_text("not found\n" * 100)
    with pytest.raises(DataFormatError, match="as a MATLAB file"):
        load_dataset("wikipedia-features", root)


def test_names_and_absence(root):
    with pytest.raises(DataNotFoundError, match=r"(?s)has no raw_features_tfidf\.mat.*svcl"):
        load_dataset("wikipedia-features", root, text="tfidf")
    with pytest.raises(UnknownNameError, match="lda, tfidf"):
        load_dataset("wikipedia-features", root, text="word2vec")
    with pytest.raises(UnknownNameError, match="2173/693"):
        load_dataset("wikipedia-features", root, "800/200")


def test_a_matrix_of_cells_is_refused_unread(root):
    """Cells within cells would be read deeper than any stack is."""
    cells = np.empty((2173, 3), dtype=object)
    cells[:] = [[np.array([[1.0]])] * 3] * 2173
    save(root, T_tr=cells)
    with pytest.raises(DataFormatError, match="T_tr is not a matrix of real numbers but cell"):
        load_dataset("wikipedia-features", root)


def test_what_is_packed_may_not_fill_the_memory(root):
    save(root)
    path = root / "raw_features.mat"
    bomb = zlib.compress(bytes(300 * 2**20), 1)
    path.write_bytes(path.read_bytes() + struct.pack("<2I", 15, len(bomb)) + bomb)
    with pytest.raises(DataFormatError, match="unpacks to more than"):
        load_dataset("wikipedia-features", root)


def test_a_matrix_that_stands_twice_is_refused(root):
    save(root)
    path = root / "raw_features.mat"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[128:])
    with pytest.raises(DataFormatError, match="a matrix twice"):
        load_dataset("wikipedia-features", root)
