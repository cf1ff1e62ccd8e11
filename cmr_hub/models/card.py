"""Write the model card from the template `model_card.md`, a model and its training record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Protocol

from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.errors import ModelFormatError
from cmr_hub.models.card_data import About, about
from cmr_hub.models.card_encoders import (
    PretrainedPart,
    encoder_limits,
    is_pretrained,
    pretrained_parts,
)
from cmr_hub.models.card_figures import Figure, as_table, figures, zero_shot_figures
from cmr_hub.models.zero_shot_comparison import against_zero_shot
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import ModelCard, ModelCardData

    from cmr_hub.models.towers import ImageTower, TextTower
    from cmr_hub.types import JSONObject

TEMPLATE: Final = "model_card.md"
_MADE_HERE: Final = {"compact": "compact, see docs/sketch-release.md of CMR Hub"}
_BASE_MODELS: Final = {"offline-minilm": "sentence-transformers/all-MiniLM-L6-v2"}


class Described(Protocol):
    """The properties of a `CrossModalModel` that a card needs."""

    @property
    def dim(self) -> int: ...

    @property
    def image(self) -> ImageTower: ...

    @property
    def text(self) -> TextTower: ...

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def training(self) -> JSONObject: ...

    @property
    def gallery(self) -> Sized | None: ...


def model_card(
    model: Described,
    *,
    title: str,
    load_name: str,
    seeds: Sequence[JSONObject] = (),
    pictures: Mapping[str, str] | None = None,
) -> ModelCard:
    """Write a card from the figures in the model's training record.

    Args:
        model: a model with its training record.
        title: heading of the card, and name of the model in the card's index of results.
        load_name: the argument of `load` in the examples.
        seeds: records of the same run with all its seeds, for the spread.
        pictures: picture files next to the card, by their captions.

    Raises:
        ModelFormatError: the training record of the model cannot be read.
    """
    from huggingface_hub import ModelCard

    training = model.training
    try:
        measured = figures(training, seeds)
        before = zero_shot_figures(training, seeds)
        data = [about(name) for name in str(training.get("dataset", "")).split("+") if name]
        parts = pretrained_parts(model.image, model.text)
        card: ModelCard = ModelCard.from_template(
            _card_data(model, title, measured, data, parts),
            template_str=files("cmr_hub.models").joinpath(TEMPLATE).read_text(encoding="utf-8"),
            title=title,
            load_name=load_name,
            dim=model.dim,
            gallery=0 if model.gallery is None else len(model.gallery),
            figures=as_table([*measured, *before]) if measured else [],
            zero_shot=against_zero_shot(training),
            seeds=len(seeds),
            seed=training.get("seed"),
            pictures=pictures or {},
            limits=_limits(model),
            data=data,
            parts=[part.sentence for part in parts],
            licence=_licence(data, parts),
            is_english=not is_pretrained(model.text),
            is_trained=model.image.projector is not None or model.text.projector is not None,
            training=_training(training) if training else {},
            versions={"cmr_hub": __version__} | training.get("versions", {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(
            f"the training record of the model cannot be read ({type(error).__name__}: {error}): "
            "train the model again, or write its card by hand"
        ) from error
    return card


def _card_data(
    model: Described,
    title: str,
    measured: Sequence[Figure],
    data: Sequence[About],
    parts: Sequence[PretrainedPart],
) -> ModelCardData:
    from huggingface_hub import EvalResult, ModelCardData

    training = model.training
    objective = training.get("settings", {}).get("objective", {})
    encoders = [model.image.encoder_name, model.text.encoder_name]
    results = [
        EvalResult(
            task_type="feature-extraction",
            task_name="Cross-modal retrieval",
            dataset_type=figure.dataset.lower().replace(" ", "-"),
            dataset_name=figure.dataset,
            dataset_config=figure.protocol,
            dataset_split=figure.split,
            metric_type=figure.kind,
            metric_name=figure.metric,
            metric_value=round(figure.value, 4),
        )
        for figure in measured
    ]
    return ModelCardData(
        language=None if is_pretrained(model.text) else "en",
        library_name="cmr-hub",
        pipeline_tag="feature-extraction",
        tags=[
            *("cross-modal-retrieval", "image-text-retrieval"),
            *dict.fromkeys(
                str(name).removeprefix(PREFIX) for name in [*encoders, *objective] if name
            ),
        ],
        datasets=[name for name in str(training.get("dataset", "")).split("+") if name] or None,
        base_model=_base_model(training, parts),
        model_name=title,
        eval_results=results or None,
        license="apache-2.0" if _open(data, parts) else "other",
        license_name=_licence_name(data, parts),
    )


def _open(data: Sequence[About], parts: Sequence[PretrainedPart]) -> bool:
    return bool(data) and not parts and all(row.open for row in data)


def _licence_name(data: Sequence[About], parts: Sequence[PretrainedPart]) -> str | None:
    if _open(data, parts):
        return None
    return "of-the-pretrained-encoder" if parts else "research-data"


def _licence(data: Sequence[About], parts: Sequence[PretrainedPart]) -> str:
    if _open(data, parts):
        return "The code and these weights are under Apache-2.0."
    sentences = ["The code is under Apache-2.0."]
    if data or not parts:
        sentences.append(
            "The weights were learnt from data whose terms are above: use them where those terms "
            "allow it."
        )
    if parts:
        names = " and ".join(part.name for part in parts)
        sentences.append(
            f"The weights of {names} keep the licence that they were published under: read it "
            "before you use this model."
        )
    return " ".join(sentences)


def _base_model(training: JSONObject, parts: Sequence[PretrainedPart]) -> str | list[str] | None:
    """Return the repositories on the Hub that parts of the model come from."""
    repositories = [part.name for part in parts if part.commit is not None]
    if repositories:
        return repositories if len(repositories) > 1 else repositories[0]
    if training.get("text_encoder") not in ("sentence", "concat"):
        return None
    source = (training.get("text_options") or {}).get("source", "offline-minilm")
    return _BASE_MODELS.get(source, source if "/" in source else None)


def _limits(model: Described) -> list[str]:
    """Describe the limitations of the model."""
    limits = encoder_limits(model.image, model.text)
    limits.append(
        "It counts objects and combines attributes poorly, above all on photographs: “two dogs, "
        "one black and one white” finds dogs."
    )
    if model.classes:
        limits.append(
            f"It works best on its {len(model.classes)} training classes "
            f"({', '.join(model.classes)})."
        )
    return limits


def _training(training: JSONObject) -> dict[str, str]:
    """Return the facts in the training record by their names on the card."""
    settings = training.get("settings", {})
    versions = training.get("versions", {})
    pairs = training.get("pairs")
    image_encoder = training.get("image_encoder")
    texts: dict[str, Any] = {
        "data": f"{training['dataset']}, protocol {training.get('protocol')}"
        if "dataset" in training
        else None,
        "pairs": f"{pairs:,}" if isinstance(pairs, int) else pairs and pairs.get("train"),
        "picture encoder": _MADE_HERE.get(str(image_encoder), image_encoder),
        "text encoder": training.get("text_encoder"),
        "losses": " + ".join(
            f"{options.get('weight', 1.0):g} {name}"
            for name, options in settings.get("objective", {}).items()
        ),
        "preset": training.get("preset"),
        "epochs": training.get("epochs"),
        "batch size, learning rate": settings
        and ", ".join(f"{settings[key]:g}" for key in ("batch_size", "learning_rate")),
        "seed": training.get("seed"),
        "time": f"{training['seconds']:.0f} s, {_trained_parts(training)}"
        if "seconds" in training
        else None,
        "hardware": versions
        and f"{versions.get('cpus')} cores, {versions.get('machine')}, {versions.get('system')}",
        "software": versions
        and ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "numpy")),
    }
    return {name: str(text) for name, text in texts.items() if text not in (None, "", {})}


def _trained_parts(training: JSONObject) -> str:
    if training.get("fine_tuned") or training.get("text_fine_tuned"):
        return "the projectors and the last layers of an encoder"
    return "the projectors on frozen encoders"
