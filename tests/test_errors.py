"""No message holds a whole array, file or text, whatever a user gives."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cmr_hub
from cmr_hub import datasets, encoders, errors, losses, metrics
from cmr_hub.errors import CMRError, UnknownNameError, shown
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item

BIG = 200_000
LONGEST = 4_100
"""Of a message: it may list the names of all presets, and what a library has said."""


PACKAGE = Path(cmr_hub.__file__).parent


def messages(tree: ast.AST) -> list[str]:
    """The texts of all errors of the package that a module raises or makes."""
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind)}
    # Their argument is a kind of name, or a list of names.
    kinds -= {"UnknownNameError", "NotInstalledError"}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in kinds and node.args:
            text = _text(node.args[0])
            found += [] if text is None else [text]
    return found


def _text(node: ast.expr) -> str | None:
    """A text with `{}` for its variable parts; None if it is nothing else."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join("{}" if (own := _text(part)) is None else own for part in parts)
        case ast.BinOp(left=left, right=right):
            return f"{_text(left) or '{}'}{_text(right) or '{}'}"
    return None


class Talkative:
    def __repr__(self) -> str:
        return "x" * BIG


def big_values() -> dict[str, Any]:
    return {
        "bytes": bytes(BIG),
        "name": "x" * BIG,
        "list": ["dog"] * BIG,
        "matrix": np.full((1000, 50), np.nan),
        "pixels": np.zeros((200, 300, 3), np.uint8),
        "dict": dict.fromkeys(range(BIG), "dog"),
        "object": Talkative(),
        "path": Path("x" * BIG),
    }


VALUES = big_values()


@pytest.mark.parametrize("kind", VALUES)
def test_shown(kind) -> None:
    assert len(shown(VALUES[kind])) < 200
    assert len(str(UnknownNameError("loss", VALUES[kind], ["a", "b"]))) < 300


def test_what_is_short_is_shown_as_it_is() -> None:
    for value in ("it's", 3.5, None, [1, 2], {"a": 1}, b"GIF", ("x",), losses.LOSSES.__class__):
        assert shown(value) == repr(value)
    assert shown(bytes(30)) == "bytes of length 30"
    assert shown(np.zeros((2, 3))) == "ndarray of shape (2, 3)"


def told(call: Callable[[], Any]) -> list[str]:
    """The messages of what it raises, and of what that was raised from where it is shown."""
    try:
        call()
    except CMRError as error:
        return [str(error)]
    except (TypeError, ValueError, AttributeError, KeyError, OSError):
        return []  # Python's own, of a type that was never allowed
    return []


_OF_THE_HUB = ("token", "cache_dir", "local_files_only", "force_download", "revision")


PLACES = ("name", "pairs", "data", "root", "directory", "device", "images", "image", "query")


def parameters(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in kinds and name not in ("self", "cls", "progress", *_OF_THE_HUB)
    ]


@pytest.fixture(scope="session")
def pascal(colour_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pascal Sentence with 8 pictures in each of 3 classes."""
    root = tmp_path_factory.mktemp("pascal-sentence")
    for path in (colour_folder / "train").glob("*.png"):
        place = Path(path.stem.rstrip("0123456789"), path.stem)
        picture = (root / "dataset" / place).with_suffix(".jpg")
        text = (root / "sentence" / place).with_suffix(".txt")
        for file in (picture, text):
            file.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(picture)
        text.write_text("a picture")
    return root


def functions(
    model: Any, folder: Path, pascal: Path
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Public functions by name, each with arguments that go well or fail early."""
    gallery = model.gallery
    rows = np.eye(4, 3)
    labels = [0, 1, 0, 1]
    arrays = (rows, rows, labels)
    figures = {
        "mean_average_precision": (rows, rows, labels, labels),
        "evaluate_retrieval": (rows, rows, labels),
        "rank": (rows, rows),
        "modality_gap": (rows, rows),
        "silhouette": (rows, labels),
        "content_based_map": (rows, labels),
        "average_precision": (np.eye(4) > 0,),
        "recall_at_k": (np.eye(4) > 0, 1),
        "precision_at_k": (np.eye(4) > 0, 1),
        "classification_accuracy": (labels, labels),
        "per_class_map": (np.ones(4), labels),
    }
    named = {
        "load": (cmr_hub.load, {}),
        "train": (cmr_hub.train, {"pairs": arrays, "preset": "infonce", "epochs": 1}),
        "evaluate": (cmr_hub.evaluate, {"model": model, "data": folder}),
        "load_dataset": (datasets.load_dataset, {"name": "folder", "root": folder}),
        "Folder": (datasets.Folder, {"root": folder}),
        "PascalSentence": (datasets.PascalSentence, {"root": pascal}),
        "build_loss": (losses.build_loss, {}),
        "loss_class": (losses.loss_class, {}),
        "TripletLoss": (losses.TripletLoss, {}),
        "register": (losses.register, {}),
        "image_encoder": (encoders.image_encoder, {"encoder": "compact"}),
        "encode_images": (model.encode_images, {"images": []}),
        "encode_texts": (model.encode_texts, {"texts": []}),
        "encode_documents": (model.encode_documents, {"documents": []}),
        "classify": (model.classify, {"images": [], "names": ["a", "b"]}),
        "model.search": (model.search, {"text": "flame"}),
        "gallery.search": (gallery.search, {"query": "flame"}),
        "more_like": (gallery.more_like, {"id": gallery.items["id"][0].as_py()}),
        "search_many": (gallery.search_many, {"vectors": np.eye(6)}),
        "label": (gallery.label, {"names": ["a", "b"]}),
        "remove": (gallery.remove, {"ids": []}),
        "to": (model.to, {"device": "cpu"}),
        "with_backend": (model.with_backend, {"backend": "torch"}),
        "open": (Gallery.open, {"directory": folder}),
    }
    for name, given in figures.items():
        function = getattr(metrics, name)
        named[name] = (function, dict(zip(parameters(function), given, strict=False)))
    return named


NAMES = (
    *("load", "train", "evaluate", "load_dataset", "Folder", "PascalSentence", "build_loss"),
    *("loss_class", "TripletLoss", "register", "image_encoder", "encode_images", "encode_texts"),
    *("encode_documents", "classify", "model.search", "gallery.search", "more_like"),
    *("search_many", "label", "remove", "to", "with_backend", "open", "mean_average_precision"),
    *("evaluate_retrieval", "rank", "modality_gap", "silhouette", "content_based_map"),
    *("average_precision", "recall_at_k", "precision_at_k", "classification_accuracy"),
    "per_class_map",
)


@pytest.mark.parametrize("name", NAMES)
def test_public_functions(name, model, colour_folder, pascal, tmp_path, monkeypatch) -> None:
    """Each argument in turn is far too large."""
    monkeypatch.chdir(tmp_path)
    function, given = functions(model, colour_folder, pascal)[name]
    for parameter in parameters(function):
        for kind, value in VALUES.items():
            for one in (value, [value]):
                for message in told(
                    lambda one=one, parameter=parameter: function(**given | {parameter: one})
                ):
                    where = f"{name}({parameter}={kind}): {message[:300]}"
                    assert len(message) < LONGEST, where
                    # Show enough of a path to find it, and no other value.
                    assert parameter in PLACES or "x" * 300 not in message, where


def test_a_picture_given_as_bytes(model) -> None:
    """It was 1.7 million characters once."""
    with pytest.raises(CMRError) as caught:
        model.encode_images(bytes(1_700_000))
    assert len(str(caught.value)) < 200
    for wrong in (bytes(BIG), VALUES["pixels"][..., :2], VALUES["object"]):
        with pytest.raises(CMRError) as caught:
            model.encode_images([wrong])
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", VALUES)
def test_items(kind, model) -> None:
    value = VALUES[kind]
    picture = Image.new("RGB", (8, 8))
    for item in (
        {"id": value},
        {"id": "a", "path": value},
        {"id": "a", "sentences": (value,)},
        {"id": "a", "label": value, "sentences": ("flame",)},
        {"id": "a", "sentences": ("flame",), "metadata": {"x": value}},
        {"id": "a", "sentences": ("flame",), "metadata": {str(value)[:BIG]: 1, "path": 2}},
    ):
        for message in told(lambda item=item: Gallery.create(None, model).add([Item(**item)])):
            assert len(message) < LONGEST, message[:300]
    for message in told(lambda: model.search(image=picture, where=value)):
        assert len(message) < LONGEST, message[:300]


# ---- every message of the package


MESSAGES = {
    f"{path.relative_to(PACKAGE).as_posix()}: {text}": text
    for path in PACKAGE.rglob("*.py")
    for text in messages(ast.parse(path.read_text(encoding="utf-8")))
}
"""Each with `{}` for what is filled in, by itself and its module."""
GIVEN_ON = re.compile(r"(: |\()\{\}\)?$")
"""The end of a message that gives the reason of another error."""
VAGUE = re.compile(r"\b(invalid|illegal|bad|corrupt|unexpected error|something went wrong)\b", re.I)


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 400


@pytest.mark.parametrize(
    ("wrong", "is_wrong"),
    {
        "too short to act on": lambda text: (
            len(re.findall(r"[^\W\d_]{2,}", text)) < (3 if "{}" in text else 4)
            and not GIVEN_ON.search(text)
            and text.count("{}") < 2  # a reason is filled in
        ),
        "vague": VAGUE.search,
        "a failure without its reason": lambda text: re.search(r"\bfailed\b(?!.*\{\})", text),
        "ends as a fragment": lambda text: re.search(r"[,;:]\s*$|\.\s+$", text),
        "without a space after a sign": lambda text: re.search(r";[A-Za-z]", text),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_message_helps(wrong: str, is_wrong: Callable[[str], object]) -> None:
    assert [place for place, text in MESSAGES.items() if is_wrong(text)] == []


def test_vague_messages_would_be_found() -> None:
    tree = ast.parse(
        'raise CMRError("invalid")\nraise ValueError("bad")\nraise CMRError(f"{x}: {y}")'
    )
    assert messages(tree) == ["invalid", "{}: {}"]
    assert VAGUE.search("invalid")
    assert GIVEN_ON.search("{}: {}")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("flickr8", "flickr8k"),
        ("Flickr8K", "flickr8k"),
        ("pascal_sentence", "pascal-sentence"),
        ("wikipeda", "wikipedia"),
        ("zzz", None),
        (7, None),
    ],
)
def test_an_unknown_name_suggests_the_nearest(given: object, nearest: str | None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        datasets.DATASETS[given]
    end = None if nearest is None else f"Did you mean {nearest}?"
    assert str(caught.value).rpartition(". ")[2] == end if end else "mean" not in str(caught.value)


def test_an_unknown_column_suggests_the_nearest() -> None:
    with pytest.raises(CMRError, match=r"no column 'lable'; .* Did you mean label\?"):
        cmr_hub.load("sketch").gallery.search("a dog", where="lable = 'dog'")


@pytest.mark.parametrize(
    "names", [losses.LOSSES, encoders.images.IMAGE_ENCODERS, encoders.texts.TEXT_ENCODERS]
)
def test_registries_suggest_too(names: Any) -> None:
    for name in names:
        with pytest.raises(UnknownNameError, match=f"Did you mean {re.escape(name)}"):
            names[f"{name}x"]
