import json
import math

import pytest

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.config import ModelConfig, read_config
from cmr_hub.models.files import blueprint

PROJECTOR = {
    "in_dim": 4,
    "hidden": [3],
    "dim": 2,
    "activation": "relu",
    "dropout": [0.0, 0.5],
    "output": "linear",
    "radius": 1.0,
}
CONFIG = {
    "format_version": 1,
    "library_name": "cmr-hub",
    "image_projector": PROJECTOR,
    "text_projector": PROJECTOR,
    "image_encoder": {"name": "mobilenet_v2", "source": "file", "fingerprint": "0" * 64},
    "text_encoder": "bow",
    "classes": ["cat", "dog"],
    "training": {"seed": 1, "nested": {"list": [1, None, "x"]}},
    "files": {"model.safetensors": "f" * 64},
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


@pytest.mark.parametrize(
    "value", [{**CONFIG, "image_encoder": None, "text_encoder": None, "classes": []}]
)
def test_model_of_features(path, value):
    path.write_text(json.dumps(value))
    assert read_config(path).image_encoder is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((key, ...) for key in CONFIG if key not in ("format_version", "library_name")),
        *((f"image_projector.{key}", ...) for key in PROJECTOR),
        ("image_encoder.fingerprint", ...),
        ("more", 1),
        ("text_projector.more", 1),
        ("image_encoder.more", 1),
        ("library_name", "other"),
        ("image_projector", None),
        ("image_projector", [PROJECTOR]),
        ("image_projector.in_dim", -4),
        ("image_projector.in_dim", 0),
        ("image_projector.in_dim", "4"),
        ("image_projector.in_dim", 4.5),
        ("image_projector.in_dim", True),
        ("image_projector.in_dim", 10**9),
        ("image_projector.hidden", [-3]),
        ("image_projector.hidden", 3),
        ("image_projector.hidden", [1] * 100),
        ("image_projector.dim", 0),
        ("image_projector.activation", "exec"),
        ("image_projector.activation", ["relu"]),
        ("image_projector.dropout", [0.5]),
        ("image_projector.dropout", [0.5, 0.5, 0.5]),
        ("image_projector.dropout", [2.0, 0.0]),
        ("image_projector.dropout", [-0.1, 0.0]),
        ("image_projector.dropout", [math.nan, 0.0]),
        ("image_projector.output", "cube"),
        ("image_projector.radius", 0.0),
        ("image_projector.radius", math.inf),
        ("image_projector.radius", math.nan),
        ("image_projector.radius", None),
        ("image_encoder.name", None),
        ("image_encoder.fingerprint", "0" * 63),
        ("image_encoder.fingerprint", "g" * 64),
        ("text_encoder", 1),
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
    path.write_text(json.dumps(CONFIG | {"image_projector": projector}))
    with pytest.raises(ModelFormatError, match=r"image_projector: .*3 dimensions"):
        read_config(path)


RESIDUAL = PROJECTOR | {"in_dim": 2, "residual": True}


def test_residual_is_optional_and_written_only_where_it_is(path):
    content = CONFIG | {"text_projector": RESIDUAL}
    path.write_text(json.dumps(content))
    config = read_config(path)
    assert config.text_projector.residual
    assert not config.image_projector.residual
    assert json.loads(config.model_dump_json()) == content
    assert blueprint(config.text_projector).residual
    plain = CONFIG | {"text_projector": RESIDUAL | {"residual": False}}
    path.write_text(json.dumps(plain))
    assert "residual" not in read_config(path).model_dump_json()


@pytest.mark.parametrize(
    "change", [{"in_dim": 4}, {"output": "sphere"}, {"residual": 1}, {"residual": "yes"}]
)
def test_residual_of_another_shape(path, change):
    path.write_text(json.dumps(CONFIG | {"text_projector": RESIDUAL | change}))
    with pytest.raises(ModelFormatError, match=r"text_projector.*(dim = in_dim|valid boolean)"):
        read_config(path)


@pytest.mark.parametrize("version", [0, 2, "1", None, [], {}])
def test_other_version(path, version):
    path.write_text(changed("format_version", version))
    with pytest.raises(ModelFormatError, match="this release reads version 1"):
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
    with pytest.raises(ModelFormatError, match="larger than 1,000,000 bytes"):
        read_config(path)
