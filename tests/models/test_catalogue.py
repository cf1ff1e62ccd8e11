"""The table of pretrained models: strict, each fact with its page, each figure as printed there."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest
from pydantic import ValidationError

from cmr_hub.models import catalogue
from cmr_hub.models.catalogue import CatalogueEntry, list_models, resolve, suggestions

# (model, dataset): recall@1 from text to image and from image to text, as the sources print them.
PRINTED = {
    ("clip", "COCO"): (0.3044, 0.5012),
    ("clip-laion", "COCO"): (0.3934, 0.5632),
    ("siglip", "COCO"): (0.472, 0.645),
    ("siglip", "Crossmodal-3600"): (0.224, 0.293),
    ("siglip2", "COCO"): (0.521, 0.689),
    ("siglip2", "Crossmodal-3600"): (0.403, 0.507),
    ("siglip2-so400m", "COCO"): (0.558, 0.717),
    ("siglip2-so400m", "Crossmodal-3600"): (0.484, 0.575),
    ("multilingual", "COCO"): (0.494, 0.686),
    ("multilingual", "Crossmodal-3600"): (0.500, 0.628),
    ("mobileclip", "COCO"): (0.4882, 0.6670),
}
ENTRY = {
    "name": "tiny",
    "repository": "owner/tiny",
    "library": "open_clip",
    "purpose": "For tests.",
    "listed": "https://example.org/list",
}
FACT = {"value": 512, "source": "https://example.org/page"}
FIGURE = {
    **{"dataset": "COCO", "metric": "recall@1", "direction": "text to image", "value": 0.5},
    **{"protocol": "zero-shot", "source": "https://example.org/page"},
}


def test_every_figure_is_as_printed() -> None:
    found: dict[tuple[str, str], list[float]] = {}
    for entry in list_models():
        for figure in entry.figures:
            if figure.metric == "recall@1":
                assert (
                    figure.direction
                    == ["text to image", "image to text"][
                        len(found.setdefault((entry.name, figure.dataset), []))
                    ]
                )
                found[entry.name, figure.dataset].append(figure.value)
    assert {key: tuple(values) for key, values in found.items()} == PRINTED


def test_the_table_has_all_of_the_file() -> None:
    """Read again without the model of it."""
    file = resources.files("cmr_hub.models") / catalogue.FILE
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    entries = {entry.name: entry for entry in list_models()}
    assert list(entries) == list(content)
    for name, facts in content.items():
        dumped = entries[name].model_dump()
        assert dumped.pop("name") == name
        for key, value in facts.items():
            if isinstance(value, dict):
                assert value.items() <= dumped[key].items()
            else:
                assert list(dumped[key]) == value if key == "figures" else dumped[key] == value
        assert all(dumped[key] in (None, ()) for key in dumped.keys() - facts.keys())


def test_kinds_of_models_that_there_are() -> None:
    repositories = {entry.name: entry.repository for entry in list_models()}
    assert repositories["clip"] == "openai/clip-vit-base-patch32"
    assert repositories["siglip2"] == "google/siglip2-base-patch16-224"
    assert {"siglip2-so400m", "multilingual", "mobileclip"} <= repositories.keys()
    assert len(set(repositories.values())) == len(repositories)


@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
def test_each_says_what_a_reader_asks(entry: CatalogueEntry) -> None:
    assert entry.purpose.endswith(".")
    assert entry.download is not None
    assert entry.download.value > 100_000_000
    assert entry.dimension is not None
    assert entry.licence is not None
    assert entry.figure() is not None
    assert entry.figure("ImageNet") is None


def test_apples_licence_is_said() -> None:
    entry = resolve("mobileclip")
    assert entry is not None
    assert entry.licence is not None
    assert "Apple" in entry.licence.value
    assert "research only" in entry.licence.value


def test_resolve() -> None:
    for entry in list_models():
        assert resolve(entry.name) is entry
    assert resolve("siglip3") is None
    assert resolve("openai/clip-vit-base-patch32") is None
    assert resolve("CLIP") is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("siglp2", "siglip2"),
        ("SigLIP", "siglip"),
        ("mobile-clip", "mobileclip"),
        ("multi_lingual", "multilingual"),
        ("clip_laion", "clip-laion"),
        ("google/siglip2", "siglip2"),
    ],
)
def test_suggestions(name: str, nearest: str) -> None:
    found = suggestions(name)
    assert found[0] == nearest
    assert len(found) <= 3


def test_nothing_is_suggested_for_what_looks_like_none() -> None:
    assert suggestions("zebra") == []
    assert suggestions("") == []


def test_a_whole_entry_is_taken() -> None:
    entry = CatalogueEntry.model_validate({**ENTRY, "dimension": FACT, "figures": [FIGURE]})
    assert entry.dimension is not None
    assert entry.dimension.value == 512
    assert entry.download is None
    with pytest.raises(ValidationError, match="frozen"):
        entry.name = "other"


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "blue"},
        {"name": "Two Words"},
        {"repository": "tiny"},
        {"library": "tensorflow"},
        {"purpose": ""},
        {"listed": "a book"},
        {"dimension": 512},
        {"dimension": {"value": 512}},
        {"dimension": {**FACT, "value": "512"}},
        {"dimension": {**FACT, "value": 0}},
        {"dimension": {**FACT, "source": "http://example.org"}},
        {"licence": {**FACT, "value": ""}},
        {"figures": [{**FIGURE, "value": 52.1}]},
        {"figures": [{**FIGURE, "value": float("nan")}]},
        {"figures": [{**FIGURE, "metric": "accuracy"}]},
        {"figures": [{**FIGURE, "direction": "t2i"}]},
        {"figures": [{key: FIGURE[key] for key in FIGURE if key != "protocol"}]},
    ],
    ids=str,
)
def test_what_is_wrong_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CatalogueEntry.model_validate({**ENTRY, **wrong})
