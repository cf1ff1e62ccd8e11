import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache, image_key
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError, ImageError, ModelFormatError, QueryError, UnknownWordsError
from cmr_hub.float16 import rounded_to_half
from cmr_hub.gallery.query import Mix
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.names import TENSORS
from cmr_hub.models.projector import Projector
from cmr_hub.models.safetensors_header import read_header
from cmr_hub.models.towers import ImageTower, TextTower

SENTENCES = ["a picture of flame", "grass", "SEA, sea; flame!"]
FILES = {
    *("config.json", "model.safetensors", "history.json", "image_encoder.safetensors"),
    *("text_encoder.json", "text_encoder.safetensors", "gallery"),
}


@pytest.fixture
def paths(colour_folder):
    return sorted((colour_folder / "test").glob("*.png"))


@pytest.fixture
def saved(saved_model, tmp_path):
    return shutil.copytree(saved_model, tmp_path / "model")


@pytest.fixture
def feature_model():
    return CrossModalModel(
        ImageTower(None, Projector(4, (3,), 2)), TextTower(None, Projector(5, (), 2))
    )


def test_embeddings_are_the_projections_of_features(model, paths):
    images, texts = model.encode_images(paths), model.encode_texts(SENTENCES)
    for rows, count in ((images, 12), (texts, 3)):
        assert rows.dtype == np.float32
        assert rows.shape == (count, model.dim) == (count, 6)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    features = model.image.encoder.encode(paths)
    np.testing.assert_array_equal(images, model.image.projector.embed(features))
    rows = model.text.encoder.transform([(sentence,) for sentence in SENTENCES])
    np.testing.assert_array_equal(texts, model.text.projector.embed(rows))
    opened = [Image.open(path) for path in paths]
    np.testing.assert_array_equal(images, model.encode_images(opened))
    np.testing.assert_array_equal(
        model.encode_documents([tuple(SENTENCES)]), model.encode_texts([" ".join(SENTENCES)])
    )


def test_pictures_of_every_kind(model, paths):
    """A path, a text, an open picture, the file's bytes and its pixels give one row."""
    rows = model.encode_images(paths[:1])
    picture = Image.open(paths[0]).convert("RGB")
    kinds = (paths[0], str(paths[0]), picture, paths[0].read_bytes(), np.asarray(picture))
    for kind in kinds:
        np.testing.assert_array_equal(model.encode_images([kind]), rows)
        assert model.search(image=kind, k=1) == model.search(image=paths[0], k=1)
    grey = picture.convert("L")
    np.testing.assert_array_equal(
        model.encode_images([np.asarray(grey)]), model.encode_images([grey])
    )
    both = np.stack([np.asarray(picture)] * 2)
    np.testing.assert_array_equal(model.encode_images(both), model.encode_images([picture] * 2))
    expected = model.gallery.search(paths[0], k=1)
    for kind in (paths[0].read_bytes(), np.asarray(picture), Mix((1, np.asarray(picture)))):
        assert model.gallery.search(kind, k=1) == expected


def test_bytes_and_pixels_are_cached_as_files_are(model, paths, tmp_path):
    cache = FeatureCache(tmp_path)
    data = paths[0].read_bytes()
    kinds = [paths[0], data, np.asarray(Image.open(paths[0]).convert("RGB"))]
    rows = model.image.encode(kinds, cache=cache)
    np.testing.assert_array_equal(rows, model.encode_images([paths[0]] * 3))
    assert image_key(data) == image_key(paths[0]) != image_key(kinds[2])
    assert image_key(kinds[2]) == image_key(Image.open(paths[0]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((4, 4, 3)), r"not float64 of shape \(4, 4, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"not uint8 of shape \(4, 4, 4\)"),
        (b"", "the file is empty"),
        (b"GIF", "it is not a JPEG"),
        (3, "it is 3; pass a path, an open picture, the bytes of a file, or a uint8 array"),
        (None, "it is None; pass a path"),
    ],
)
def test_what_is_no_picture(model, wrong, message):
    with pytest.raises(ImageError, match=message):
        model.encode_images([wrong])


def test_one_picture_is_no_list(model, paths):
    one = np.asarray(Image.open(paths[0]).convert("RGB"))
    for single in (paths[0], paths[0].read_bytes(), one, Image.open(paths[0]), None):
        with pytest.raises(CMRError, match="images must be a list"):
            model.encode_images(single)


@pytest.mark.parametrize(("size", "batches"), [(1, [1] * 12), (5, [2, 5, 5]), (100, [12])])
def test_batch_size(model, paths, size, batches, monkeypatch):
    encoder, seen = model.image.encoder, []
    forward = encoder.forward

    def counted(batch):
        seen.append(len(batch))
        return forward(batch)

    monkeypatch.setattr(encoder, "forward", counted)
    rows = model.encode_images(paths, batch_size=size)
    assert sorted(seen) == batches
    np.testing.assert_allclose(rows, model.encode_images(paths), atol=1e-5)


def test_on_error(model, paths, tmp_path, caplog):
    """Two of five cannot be read: an error that names one, fewer rows, or rows of NaN."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    given = [paths[0], broken, paths[1], tmp_path / "gone.png", paths[2]]
    good = model.encode_images(paths[:3])
    with pytest.raises(ImageError, match=r"broken\.jpg|gone\.png"):
        model.encode_images(given)
    np.testing.assert_allclose(model.encode_images(given, on_error="skip"), good, atol=1e-5)
    assert "broken.jpg" in caplog.text
    assert "gone.png" in caplog.text
    rows = model.encode_images(given, on_error="none")
    assert rows.shape == (5, model.dim)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(rows[[0, 2, 4]], good, atol=1e-5)
    assert model.encode_images([broken], on_error="skip").shape == (0, model.dim)
    assert np.isnan(model.encode_images([broken], on_error="none")).all()
    with pytest.raises(CMRError, match="on_error must be one of raise, skip, none, not 'ignore'"):
        model.encode_images(paths, on_error="ignore")
    for size in (0, -1, 2.5):
        with pytest.raises(CMRError, match="batch_size must be an integer of at least 1"):
            model.encode_images(paths, batch_size=size)


def test_nothing_to_encode(model):
    assert model.encode_images([]).shape == model.encode_texts([]).shape == (0, 6)


def test_saved_and_loaded_to_the_bit(model, saved, paths):
    assert {path.name for path in saved.iterdir()} == FILES
    loaded = CrossModalModel.from_pretrained(saved)
    assert loaded.fingerprint == model.fingerprint
    np.testing.assert_array_equal(loaded.encode_images(paths), model.encode_images(paths))
    np.testing.assert_array_equal(loaded.encode_texts(SENTENCES), model.encode_texts(SENTENCES))
    assert loaded.fingerprint == model.fingerprint
    assert loaded.classes == model.classes == ("flame", "grass", "sea")
    assert loaded.training == model.training
    assert loaded.history == model.history
    assert loaded.gallery is None
    rows = model.encode_images(paths)
    for modality in ("image", "text"):
        expected = [
            model.classes[index] for index in model.centroids.predict(rows, modality).tolist()
        ]
        assert loaded.predict_classes(rows, modality) == expected


def test_float32_is_stored_as_such_and_what_was_rounded_as_float16(saved, tmp_path, paths):
    def dtypes(directory):
        return {name: one.dtype for name, one in read_header(directory / TENSORS).items()}

    assert set(dtypes(saved).values()) == {"F32"}
    model = CrossModalModel.from_pretrained(saved)
    for name, array in model.text.projector.arrays.items():
        model.text.projector.arrays[name][...] = rounded_to_half(array)
    model.save_pretrained(tmp_path / "rounded")
    halves = {name for name, one in dtypes(tmp_path / "rounded").items() if one == "F16"}
    assert halves == {f"text_projector.{name}" for name in model.text.projector.arrays}
    loaded = CrossModalModel.from_pretrained(tmp_path / "rounded")
    assert {one.dtype for one in loaded.text.projector.arrays.values()} == {np.dtype(np.float32)}
    assert loaded.fingerprint == model.fingerprint
    np.testing.assert_array_equal(loaded.encode_texts(SENTENCES), model.encode_texts(SENTENCES))
    np.testing.assert_array_equal(loaded.encode_images(paths), model.encode_images(paths))
    # One value that float16 does not hold, and all are float32.
    loaded.text.projector.arrays["layers.1.bias"][0] = 0.1
    loaded.save_pretrained(tmp_path / "changed")
    assert set(dtypes(tmp_path / "changed").values()) == {"F32"}


def test_loaded_model_is_saved_again(saved, tmp_path, paths):
    first = CrossModalModel.from_pretrained(saved)
    first.save_pretrained(tmp_path / "again")
    for name in FILES - {"gallery"}:
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes(), name
    # In the place of the very files that it has not read yet.
    CrossModalModel.from_pretrained(tmp_path / "again").save_pretrained(tmp_path / "again")
    loaded = CrossModalModel.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(loaded.encode_images(paths), first.encode_images(paths))


def test_weights_that_can_be_downloaded_are_not_kept(model, tmp_path, monkeypatch):
    encoder = model.image.encoder
    source = "torchvision:MobileNet_V2_Weights.IMAGENET1K_V1"
    monkeypatch.setattr(encoder, "source", source)
    model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "image_encoder.safetensors").exists()
    loaded = CrossModalModel.from_pretrained(tmp_path / "model")
    monkeypatch.setattr(type(encoder), "download", lambda: (encoder.state, encoder.source))
    assert loaded.image.encoder.fingerprint == encoder.fingerprint

    other = {name: value + 1 for name, value in encoder.state.items()}
    monkeypatch.setattr(type(encoder), "download", lambda: (other, encoder.source))
    loaded = CrossModalModel.from_pretrained(tmp_path / "model")
    with pytest.raises(ModelFormatError, match="other weights or another preprocessing"):
        loaded.encode_images([])


def test_images_are_needed_for_images_only(saved):
    loaded = CrossModalModel.from_pretrained(saved)
    loaded.encode_texts(SENTENCES)
    assert not hasattr(loaded.image._encoder, "encode")
    assert hasattr(loaded.image.encoder, "encode")
    assert loaded.image.encoder is loaded.image.encoder


@pytest.mark.parametrize("query", [{"text": "flame"}, {"image": ...}])
@pytest.mark.parametrize("target", ["image", "text", None])
def test_search_is_a_cosine_ranking(model, paths, colour_folder, query, target):
    dataset = load_dataset("folder", colour_folder).split("test")
    if "image" in query:
        query = {"image": paths[5]}
        vector = model.encode_images([paths[5]])[0]
    else:
        vector = model.encode_texts(["flame"])[0]
    among = {
        "image": model.encode_images(dataset.images),
        "text": model.encode_documents(dataset.sentences),
    }[target or "image"]
    scores = (among.astype(np.float64) @ vector).clip(-1, 1)
    expected = sorted(range(len(scores)), key=lambda row: -scores[row])[:5]

    hits = model.search(**query, k=5, target=target)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([hit.score for hit in hits], scores[expected], atol=1e-6)
    rows = [dataset.ids.index(hit.id) for hit in hits]
    np.testing.assert_allclose(scores[rows], scores[expected], atol=1e-6)
    for row, hit in zip(rows, hits, strict=True):
        assert hit.path == dataset.images[row].absolute()
        assert hit.sentences == dataset.sentences[row]
        assert hit.label == dataset.label_name(row)
    if query == {"image": paths[5]} and target == "image":
        assert hits[0].path == paths[5]
        assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_more_hits_than_items(model):
    assert len(model.search("flame", k=1000)) == 12
    assert len(model.search("flame")) == 10


def test_search_without_an_answer(model, paths, tmp_path):
    for query in ({}, {"text": "flame", "image": paths[0]}, {"text": "", "image": paths[0]}):
        with pytest.raises(QueryError, match="one query: either a text or an image"):
            model.search(**query)
    for k in (0, -1):
        with pytest.raises(QueryError, match="k must be 1 or more"):
            model.search("flame", k=k)
    with pytest.raises(QueryError, match="target"):
        model.search("flame", target="sound")
    with pytest.raises(ImageError, match="absent"):
        model.search(image=tmp_path / "absent.jpg")
    model.gallery = None
    with pytest.raises(QueryError, match="has no gallery"):
        model.search("flame")


@pytest.mark.parametrize("text", ["", "  \n", "?!"])
def test_text_without_words(model, text):
    for ask in (model.search, lambda given: model.encode_texts(["flame", given])):
        with pytest.raises(UnknownWordsError, match="no words; type a sentence"):
            ask(text)


def test_unknown_words_are_named(model):
    with pytest.raises(UnknownWordsError, match="known to this model: zyx, wvu; use other words"):
        model.search("zyx wvu zyx")
    many = " ".join(f"q{'x' * number}" for number in range(1, 40))
    with pytest.raises(UnknownWordsError, match="and 31 more") as caught:
        model.encode_texts([many])
    assert len(str(caught.value)) < 500


def test_single_value_instead_of_a_list(model, paths):
    with pytest.raises(CMRError, match="texts must be a list; got the single value 'flame'"):
        model.encode_texts("flame")
    for image in (paths[0], str(paths[0]), Image.open(paths[0])):
        with pytest.raises(CMRError, match="images must be a list"):
            model.encode_images(image)


def test_model_of_features(feature_model, tmp_path):
    feature_model.save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"config.json", "model.safetensors", "history.json"}
    loaded = CrossModalModel.from_pretrained(tmp_path / "model")
    rows = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(
        loaded.image.projector.embed(rows), feature_model.image.projector.embed(rows)
    )
    for ask in (loaded.encode_images, loaded.encode_texts, loaded.encode_documents):
        with pytest.raises(CMRError, match="trained on precomputed features"):
            ask([])
    with pytest.raises(CMRError, match="without classes"):
        loaded.predict_classes(rows, "image")


def test_parts_that_do_not_belong_together():
    with pytest.raises(ModelFormatError, match=r"no common space: .* 2 dimensions, .* 3"):
        CrossModalModel(ImageTower(None, Projector(4, (), 2)), TextTower(None, Projector(4, (), 3)))
    centroids = ClassCentroids(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32))
    for options in ({"classes": ["cat"]}, {"centroids": centroids}):
        with pytest.raises(ModelFormatError, match="both classes and centroids, or neither"):
            CrossModalModel(
                ImageTower(None, Projector(4, (), 2)),
                TextTower(None, Projector(4, (), 2)),
                **options,
            )


@pytest.mark.parametrize("options", [{"dropout": (0, 0)}, {"output": "sphere", "radius": 5}])
def test_fingerprint_outlives_saving(tmp_path, options):
    model = CrossModalModel(
        ImageTower(None, Projector(4, (3,), 2, **options)), TextTower(None, Projector(4, (), 2))
    )
    model.save_pretrained(tmp_path / "model")
    assert CrossModalModel.from_pretrained(tmp_path / "model").fingerprint == model.fingerprint


def test_fingerprint_changes_with_all_that_changes_an_embedding(model, colour_folder):
    def fingerprint(**changes):
        parts = {
            "image_projector": model.image.projector,
            "text_projector": model.text.projector,
            "image_encoder": model.image.encoder,
            "text_encoder": model.text.encoder,
        } | changes
        return CrossModalModel(
            ImageTower(parts["image_encoder"], parts["image_projector"]),
            TextTower(parts["text_encoder"], parts["text_projector"]),
        ).fingerprint

    def projector(**changes):
        made = Projector(**{**model.image.projector.settings, **changes})
        arrays = model.image.projector.arrays
        made.load_state_dict({name: torch.from_numpy(one) for name, one in arrays.items()})
        return made

    other_scale, other_weight = projector(), projector()
    other_scale.scaling.scale.fill_(2)
    with torch.no_grad():
        other_weight.layers[-1].bias[0] += 1e-3
    dataset = load_dataset("folder", colour_folder)
    other_words = text_encoder("bow").fit(dataset.split("train").sentences[1:])
    other_options = text_encoder("bow", sublinear_tf=False).fit(dataset.split("train").sentences)
    found = [
        fingerprint(),
        fingerprint(image_projector=other_scale),
        fingerprint(image_projector=other_weight),
        fingerprint(image_projector=projector(activation="relu")),
        fingerprint(image_projector=projector(output="softmax")),
        fingerprint(text_encoder=other_words),
        fingerprint(text_encoder=other_options),
        fingerprint(text_encoder=None),
        fingerprint(image_encoder=None),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint(image_projector=projector()) == found[0] == model.fingerprint


@pytest.mark.parametrize("beside", [[], ["config.json"]])
def test_folder_of_someone_else_survives(model, tmp_path, beside):
    (tmp_path / "documents" / "work").mkdir(parents=True)
    thesis = tmp_path / "documents" / "work" / "thesis.txt"
    thesis.write_text("years")
    for name in beside:
        (tmp_path / "documents" / name).write_text("{}")
    with pytest.raises(ModelFormatError, match="has files that are not part of a model"):
        model.save_pretrained(tmp_path / "documents")
    assert thesis.read_text() == "years"
    assert len(list((tmp_path / "documents").iterdir())) == 1 + len(beside)


def test_saved_files_are_as_readable_as_any_other(saved_model, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    modes = {path.name: path.stat().st_mode for path in saved_model.rglob("*") if path.is_file()}
    assert set(modes.values()) == {plain.stat().st_mode}, modes


def test_saved_over_an_older_model(model, feature_model, saved):
    feature_model.save_pretrained(saved)
    assert {path.name for path in saved.iterdir()} == {
        "config.json",
        "model.safetensors",
        "history.json",
    }
    model.save_pretrained(saved)
    assert CrossModalModel.from_pretrained(saved).fingerprint == model.fingerprint
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_failed_save_leaves_the_older_model(model, saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir() if path.is_file()}
    monkeypatch.setattr(model.gallery, "save", lambda directory, root: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.save_pretrained(saved)
    after = {path.name: path.read_bytes() for path in saved.iterdir() if path.is_file()}
    assert after == before
    assert (saved / "gallery").is_dir()


def test_model_can_be_moved(saved, tmp_path, model):
    shutil.move(saved, tmp_path / "elsewhere")
    loaded = CrossModalModel.from_pretrained(str(tmp_path / "elsewhere"))
    assert loaded.image.encoder.fingerprint == model.image.encoder.fingerprint


def test_residual_projectors_come_back_to_the_bit(tmp_path):
    torch.manual_seed(0)
    images, texts = (Projector(4, (3,), 4, residual=True) for _ in range(2))
    with torch.no_grad():
        images.layers[-1].weight.normal_()
    model = CrossModalModel(ImageTower(None, images), TextTower(None, texts))
    model.save_pretrained(tmp_path / "m")
    loaded = CrossModalModel.from_pretrained(tmp_path / "m")
    assert loaded.fingerprint == model.fingerprint
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded.image.projector.embed(rows), images.embed(rows))
    # The same weights without the skip path embed otherwise, and say so.
    plain = [Projector(4, (3,), 4) for _ in range(2)]
    for other, projector in zip(plain, (images, texts), strict=True):
        other.load_state_dict(projector.state_dict())
    other = CrossModalModel(ImageTower(None, plain[0]), TextTower(None, plain[1]))
    assert other.fingerprint != model.fingerprint


@pytest.mark.parametrize("value", [None, 3, float("nan"), b"dog", ["dog"]])
def test_what_is_no_text_is_named(model, value) -> None:
    for ask in (
        lambda: model.encode_texts(["flame", value]),
        lambda: model.encode_documents([("flame", value)]),
        lambda: model.unknown_words(value),
    ):
        with pytest.raises(QueryError, match=r"a text must be a string"):
            ask()
    if value is not None:
        with pytest.raises(QueryError, match="text must be a string, not"):
            model.search(value)


def test_what_is_no_list_of_texts(model) -> None:
    for value in (None, 3, b"dog"):
        with pytest.raises(CMRError, match="texts must be a list"):
            model.encode_texts(value)
        with pytest.raises(CMRError, match="documents must be a list"):
            model.encode_documents(value)
    with pytest.raises(CMRError, match="a document must be a list of sentences"):
        model.encode_documents([None])
