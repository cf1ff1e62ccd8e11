import json

import numpy as np
import pytest

from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.errors import ModelFormatError

TRAIN = [
    ("A black dog runs over green grass.", "The dog is running fast."),
    ("Two men ride a motorbike on a dirt road.", "Men on motorbikes"),
    ("A cat sleeps on the sofa", "A sofa with a grey cat", "One Kätzchen"),
    ("A man walks his dog.", "The man has a dog"),
]
TEST = [("A man and a cat",), ("zebra",), ("grass", "motorbike men"), ()]

FITTED = {
    "bow": [{}, {"weighting": "count"}, {"stop_words": None, "min_df": 2}],
    "word2vec": [
        {"dim": 6, "epochs": 2, "min_count": 1},
        {"dim": 6, "min_count": 1, "pooling": "sif", "aggregation": "sentence-max"},
    ],
    "glove": [
        {"dim": 6, "epochs": 2, "min_count": 1},
        {"dim": 6, "epochs": 2, "min_count": 1, "pooling": "tfidf", "remove_component": True},
    ],
    "lda": [{"topics": 3, "passes": 2, "min_df": 1}],
}


@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name in FITTED for options in FITTED[name]]
)
def test_what_comes_back_is_equal_to_the_bit(tmp_path, name, options) -> None:
    encoder = text_encoder(name, **options).fit(TRAIN)
    save_text_encoder(encoder, tmp_path / "made" / "here")
    again = load_text_encoder(tmp_path / "made" / "here")
    assert type(again) is type(encoder)
    assert again.dim == encoder.dim
    np.testing.assert_array_equal(encoder.transform(TEST), again.transform(TEST), strict=True)
    for text in ("a man and a zebra", "zebra", ""):
        assert encoder.unknown_words(text) == again.unknown_words(text)
        assert encoder.knows([text]) == again.knows([text])
    settings, arrays = encoder.state()
    settings_again, arrays_again = again.state()
    assert settings == settings_again
    assert arrays.keys() == arrays_again.keys()


def test_the_vocabulary_is_readable_json(tmp_path) -> None:
    save_text_encoder(text_encoder("bow").fit(TRAIN), tmp_path)
    text = (tmp_path / "text_encoder.json").read_text(encoding="utf-8")
    assert "kätzchen" in text
    assert "dog" in json.loads(text)["settings"]["vocabulary"]


def test_no_arrays_no_file(tmp_path) -> None:
    save_text_encoder(text_encoder("bow").fit(TRAIN), tmp_path)
    assert (tmp_path / "text_encoder.safetensors").exists()
    save_text_encoder(text_encoder("bow", weighting="count").fit(TRAIN), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text_encoder.json"]
    load_text_encoder(tmp_path)


@pytest.fixture
def saved(tmp_path):
    save_text_encoder(text_encoder("bow").fit(TRAIN), tmp_path)
    return tmp_path


def edit(folder, **changes) -> None:
    file = folder / "text_encoder.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes))


def test_missing(tmp_path) -> None:
    with pytest.raises(ModelFormatError, match=r"text_encoder\.json is missing"):
        load_text_encoder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_settings_that_are_no_json_object(saved, content: bytes) -> None:
    (saved / "text_encoder.json").write_bytes(content)
    with pytest.raises(ModelFormatError, match=r"text_encoder\.json"):
        load_text_encoder(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"name": "bert"}, "unknown text encoder 'bert'"),
        ({"name": None}, "name"),
        ({"settings": []}, "settings"),
        ({"settings": {}}, "options of the text encoder are missing"),
        ({"settings": {"options": {"colour": 1}}}, "no option 'colour'"),
        ({"settings": {"options": {}, "vocabulary": []}}, "at least one word"),
        ({"settings": {"options": {}, "vocabulary": ["a", 1]}}, "at least one word"),
        ({"settings": {"options": {}, "vocabulary": ["a", "b"]}}, "'idf'"),
        ({"arrays_sha256": "0"}, r"text_encoder\.safetensors"),
        ({"arrays_sha256": None}, "'idf' is missing"),
    ],
)
def test_settings_that_do_not_fit(saved, changes, message) -> None:
    edit(saved, **changes)
    with pytest.raises(ModelFormatError, match=message):
        load_text_encoder(saved)


def test_damaged_arrays(saved) -> None:
    file = saved / "text_encoder.safetensors"
    content = file.read_bytes()
    for broken in (b"", content[:-5], b"\xff" * 64, content[:-1] + b"\x01"):
        file.write_bytes(broken)
        with pytest.raises(ModelFormatError, match=r"text_encoder\.safetensors"):
            load_text_encoder(saved)
    file.unlink()
    with pytest.raises(ModelFormatError, match=r"text_encoder\.safetensors"):
        load_text_encoder(saved)


SCRIPTS = [
    ("हिन्दी में कुत्ता", "कुत्ता घास पर"),
    ("一只狗在草地上跑", "一只狗"),
    ("สุนัขวิ่งบนหญ้า", "สุนัขวิ่ง"),
    ("Ein Hund in der Straße", "Hund in İstanbul", "a dog in the grass"),
] * 3


def fitted_on_scripts(name):
    options = FITTED[name][0] if name in FITTED else {"dim": 4, "filters": 4, "min_count": 1}
    return text_encoder(name, **options).fit(SCRIPTS)


@pytest.mark.parametrize("name", [*FITTED, "text-cnn"])
def test_queries_in_several_scripts_are_known(tmp_path, name) -> None:
    save_text_encoder(fitted_on_scripts(name), tmp_path)
    again = load_text_encoder(tmp_path)
    for query in ("狗", "कुत्ता", "สุนัข", "İSTANBUL", "STRASSE", "कुत्ता और 狗"):
        assert again.knows([query])
    assert again.unknown_words("कुत्ता और 狗") == ["और"]


@pytest.mark.parametrize("name", [*FITTED, "text-cnn"])
def test_an_encoder_of_an_earlier_release_keeps_its_words(name) -> None:
    encoder = fitted_on_scripts(name)
    settings, arrays = encoder.state()
    of_words = settings["words"] if name == "text-cnn" else settings
    assert of_words.pop("words_version") == 2
    old = type(encoder).from_state(settings, arrays)
    assert old.unknown_words("Straße 一只狗 xyz") == ["straße", "一只狗", "xyz"]
    assert old.state()[0] == settings, "so that the hash of its model stays"
    of_words["words_version"] = 3
    with pytest.raises(ModelFormatError, match="version 3; this release knows versions up to 2"):
        type(encoder).from_state(settings, arrays)
