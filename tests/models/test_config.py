import json
import math

import pytest

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.config import ModelConfig, read_config
from cmr_hub.models.projector import Projector

PROJECTOR = {
    "in_dim": 4,
    "hidden": [3],
    "dim": 2,
    "activation": "relu",
    "dropout": [0.0, 0.5],
    "output": "linear",
    "radius": 1.0,
}
IMAGES = {
    "name": "mobilenet_v2",
    "source": "file",
    "dim": 4,
    "fingerprint": "0" * 64,
    "sha256": None,
}
TEXTS = {"name": "bow", "source": "file", "dim": 4, "fingerprint": None, "sha256": None}
CONFIG = {
    "format_version": 2,
    "library_name": "cmr-hub",
    "image_tower": {"encoder": IMAGES, "projector": PROJECTOR},
    "text_tower": {"encoder": TEXTS, "projector": PROJECTOR},
    "classes": ["cat", "dog"],
    "training": {"seed": 1, "nested": {"list": [1, None, "x"]}},
    "files": {"model.safetensors": "f" * 64},
}
FORMAT_1 = {
    "format_version": 1,
    "library_name": "cmr-hub",
    "image_projector": PROJECTOR,
    "text_projector": PROJECTOR,
    "image_encoder": {"name": "mobilenet_v2", "source": "file", "fingerprint": "0" * 64},
    "text_encoder": "bow",
    **{key: CONFIG[key] for key in ("classes", "training", "files")},
}


def changed(place, value):
    """The config as JSON with one value set, or removed where `value` is `...`."""
    config = json.loads(json.dumps(CONFIG))
    *parents, last = place.split(".") if "/" not in place else place.split("/")
    inner = config
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(config)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config.json"


def test_round_trip(path):
    path.write_text(json.dumps(CONFIG))
    config = read_config(path)
    path.write_text(config.model_dump_json())
    assert read_config(path) == config
    assert json.loads(config.model_dump_json()) == CONFIG
    assert isinstance(config, ModelConfig)


def test_format_1_is_read_as_towers(path):
    path.write_text(json.dumps(FORMAT_1))
    assert json.loads(read_config(path).model_dump_json()) == CONFIG
    path.write_text(json.dumps(FORMAT_1 | {"image_encoder": None, "text_encoder": None}))
    config = read_config(path)
    assert config.image_tower.encoder is None
    assert config.text_tower.encoder is None
    assert config.text_tower.dim == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, ...) for key in FORMAT_1 if key not in ("format_version", "library_name")),
        ("image_projector", None),
        ("image_projector", [PROJECTOR]),
        ("text_projector", PROJECTOR | {"more": 1}),
        ("image_encoder", {"name": "mobilenet_v2", "source": "file", "fingerprint": "0" * 63}),
        ("image_encoder", {"name": None, "source": "file", "fingerprint": "0" * 64}),
        ("text_encoder", 1),
        ("more", 1),
    ],
)
def test_wrong_value_in_format_1(path, key, value):
    config = {name: old for name, old in FORMAT_1.items() if name != key}
    path.write_text(json.dumps(config if value is ... else config | {key: value}))
    if value is ... and key.endswith("encoder"):  # a model of features
        assert read_config(path)
        return
    with pytest.raises(ModelFormatError, match=r"config\.json is not a valid model config"):
        read_config(path)


@pytest.mark.parametrize("side", ["image_tower", "text_tower"])
def test_towers_of_one_part(path, side):
    for part in ("encoder", "projector"):
        path.write_text(changed(f"{side}.{part}", None))
        tower = getattr(read_config(path), side)
        assert getattr(tower, part) is None
        assert tower.dim == (2 if part == "encoder" else 4)
    path.write_text(json.dumps(CONFIG | {side: {"encoder": None, "projector": None}}))
    with pytest.raises(ModelFormatError, match="an encoder, a projector, or both"):
        read_config(path)
    path.write_text(changed(f"{side}.encoder.dim", 5))
    with pytest.raises(
        ModelFormatError, match="takes rows of 4 numbers, but its encoder returns 5"
    ):
        read_config(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((key, ...) for key in CONFIG if key not in ("format_version", "library_name")),
        *((f"image_tower.projector.{key}", ...) for key in PROJECTOR),
        ("image_tower.encoder.dim", ...),
        ("more", 1),
        ("text_tower.projector.more", 1),
        ("text_tower.more", 1),
        ("image_tower.encoder.more", 1),
        ("library_name", "other"),
        ("image_tower", None),
        ("image_tower", [PROJECTOR]),
        ("image_tower.projector.in_dim", -4),
        ("image_tower.projector.in_dim", 0),
        ("image_tower.projector.in_dim", "4"),
        ("image_tower.projector.in_dim", 4.5),
        ("image_tower.projector.in_dim", True),
        ("image_tower.projector.in_dim", 10**9),
        ("image_tower.projector.hidden", [-3]),
        ("image_tower.projector.hidden", 3),
        ("image_tower.projector.hidden", [1] * 100),
        ("image_tower.projector.dim", 0),
        ("image_tower.projector.activation", "exec"),
        ("image_tower.projector.activation", ["relu"]),
        ("image_tower.projector.dropout", [0.5]),
        ("image_tower.projector.dropout", [0.5, 0.5, 0.5]),
        ("image_tower.projector.dropout", [2.0, 0.0]),
        ("image_tower.projector.dropout", [-0.1, 0.0]),
        ("image_tower.projector.dropout", [math.nan, 0.0]),
        ("image_tower.projector.output", "cube"),
        ("image_tower.projector.radius", 0.0),
        ("image_tower.projector.radius", math.inf),
        ("image_tower.projector.radius", math.nan),
        ("image_tower.projector.radius", None),
        ("image_tower.encoder.name", None),
        ("image_tower.encoder.fingerprint", "0" * 63),
        ("image_tower.encoder.fingerprint", "g" * 64),
        ("text_tower.encoder", 1),
        ("classes", "cat"),
        ("classes", [1]),
        ("training", []),
        ("files", []),
        ("files/model.safetensors", "short"),
        ("files/", "0" * 64),
    ],
)
def test_wrong_value_is_named(path, place, value):
    path.write_text(changed(place, value))
    first = place.split("/")[0].split(".")
    with pytest.raises(ModelFormatError, match=rf"config\.json is not a valid .*{first[-1]}"):
        read_config(path)


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "..", "../secret", "a/../b", "a//b", "a/", "", ".", "./a", "x" * 5000),
        *("a\0b", "a\nb", "a\\b", "C:\\a", "C:a", "\\\\host\\a"),
    ],
)
def test_names_of_files_stay_in_the_directory(path, name):
    path.write_text(json.dumps(CONFIG | {"files": {name: "0" * 64}}))
    with pytest.raises(ModelFormatError, match="not a valid model config: files"):
        read_config(path)


@pytest.mark.parametrize("dim", [1, 2])
def test_posterior_needs_room_for_a_class(path, dim):
    projector = PROJECTOR | {"output": "posterior-0", "dim": dim}
    path.write_text(changed("image_tower.projector", projector))
    with pytest.raises(ModelFormatError, match=r"image_tower\.projector: .*3 dimensions"):
        read_config(path)


RESIDUAL = PROJECTOR | {"in_dim": 2, "residual": True}


def residual(**change):
    """The config with a residual text projector, as JSON."""
    tower = {"encoder": TEXTS | {"dim": 2}, "projector": RESIDUAL | change}
    return json.dumps(CONFIG | {"text_tower": tower})


def test_residual_is_optional_and_written_only_where_it_is(path):
    path.write_text(residual())
    config = read_config(path)
    assert config.text_tower.projector.residual
    assert not config.image_tower.projector.residual
    assert config.model_dump_json().count("residual") == 1
    assert read_config(path) == config
    assert Projector(**config.text_tower.projector.model_dump()).residual
    path.write_text(residual(residual=False))
    assert "residual" not in read_config(path).model_dump_json()


@pytest.mark.parametrize(
    "change", [{"in_dim": 4}, {"output": "sphere"}, {"residual": 1}, {"residual": "yes"}]
)
def test_residual_of_another_shape(path, change):
    path.write_text(residual(**change))
    with pytest.raises(ModelFormatError, match=r"text_tower.*(dim = in_dim|valid boolean)"):
        read_config(path)


@pytest.mark.parametrize("version", [0, 3, "1", None, [], {}])
def test_other_version(path, version):
    path.write_text(changed("format_version", version))
    with pytest.raises(ModelFormatError, match="this release reads 1 and 2"):
        read_config(path)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"text"', b"1", b"{}"])
def test_json_of_another_kind(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match="format version None"):
        read_config(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"\x80\x04pickle",
        b"[" * 100_000,
        b"9" * 10_000,
        json.dumps(CONFIG).encode()[:-5],
    ],
    ids=["empty", "half", "not UTF-8", "pickle", "deep", "long number", "truncated"],
)
def test_not_json(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match="not valid JSON"):
        read_config(path)


def test_deep_or_odd_values(path):
    nested = json.dumps(CONFIG).replace("null", "[" * 900 + "]" * 900)
    for content in (nested, json.dumps(CONFIG).replace('"x"', r'"\ud800"')):
        path.write_text(content)
        with pytest.raises(ModelFormatError, match="Invalid JSON"):
            read_config(path)


def test_missing_or_huge(path):
    with pytest.raises(ModelFormatError, match=r"not a model directory: it has no config\.json"):
        read_config(path)
    path.mkdir()
    with pytest.raises(ModelFormatError, match="not a model directory"):
        read_config(path)
    path.rmdir()
    path.write_text(json.dumps(CONFIG) + " " * 1_000_000)
    with pytest.raises(ModelFormatError, match="larger than the 1,000,000 bytes"):
        read_config(path)
