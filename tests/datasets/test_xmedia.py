import numpy as np
import pytest
import scipy.io

from cmr_hub.datasets import XMedia, XMediaNet, load_dataset
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError


def test_xmedia_is_read_from_its_matlab_file(tmp_path):
    random = np.random.default_rng(2)
    stored = {"V_tr_CNN": random.random((3, 9)), "A_te": random.random((2, 2))}  # other media
    for part, count in (("tr", 8), ("te", 4)):
        stored |= {
            f"I_{part}_CNN": random.random((count, 6)),
            f"T_{part}_BOW": random.random((count, 5)),
            f"{part}ImgCat": np.arange(count)[:, None] % 4 + 1,
            f"{part}TxtCat": np.arange(count)[:, None] % 4 + 1,
        }
    scipy.io.savemat(tmp_path / "XMediaFeatures.mat", stored)
    dataset = XMedia(tmp_path)
    assert repr(dataset).startswith("FeatureDataset('xmedia', protocol='train/test', 12 items")
    assert dataset.labels.tolist() == [*range(4), *range(4), *range(4)]
    np.testing.assert_allclose(dataset.split("test").text_features, stored["T_te_BOW"], rtol=1e-6)


def test_xmedianet_is_read_from_its_tables(tmp_path):
    random = np.random.default_rng(2)
    for part, count in (("train", 6), ("test", 3)):
        np.savetxt(tmp_path / f"img_{part}_fea.txt", random.random((count, 4)))
        np.savetxt(tmp_path / f"txt_{part}_fea.txt", random.random((count, 2)))
        lines = [f"{part}{n}.jpg {n % 3 + 1}\n" for n in range(count)]
        (tmp_path / f"img_{part}_list.txt").write_text("".join(lines))
    dataset = XMediaNet(tmp_path)
    assert dataset.labels.tolist() == [0, 1, 2] * 3
    assert dataset.image_features.shape == (9, 4)
    assert [len(dataset.split(name)) for name in ("train", "test")] == [6, 3]
    (tmp_path / "img_test_list.txt").write_text("a.jpg 1\n")
    with pytest.raises(DataFormatError, match="files of test differ in length"):
        XMediaNet(tmp_path)
    (tmp_path / "img_test_list.txt").write_text("a.jpg\n")
    with pytest.raises(DataFormatError, match="a file name and a class number"):
        XMediaNet(tmp_path)


@pytest.mark.parametrize("name", ["xmedia", "xmedianet"])
def test_what_is_missing_is_told(tmp_path, name):
    with pytest.raises(DataNotFoundError, match=r"(XMediaFeatures\.mat|img_train_fea\.txt)"):
        load_dataset(name, tmp_path)
    with pytest.raises(UnknownNameError, match="train/test"):
        load_dataset(name, tmp_path, "all")
