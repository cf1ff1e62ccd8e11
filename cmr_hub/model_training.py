"""`train`: a model from datasets and the names of encoders and of a way to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cmr_hub.datasets import FeatureDataset, PairDataset, load_dataset
from cmr_hub.datasets.measured import join_measured, with_test_split
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder as image_encoder_named
from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2, MINILM
from cmr_hub.encoders.texts import text_encoder as text_encoder_named
from cmr_hub.errors import CMRError
from cmr_hub.experiments.methods import get_method, refuse_without_model
from cmr_hub.experiments.run import run_experiment
from cmr_hub.training.presets import CAPTIONS, Preset

if TYPE_CHECKING:
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.models.cross_modal import CrossModalModel


def train(
    datasets: str | PairDataset | Sequence[str | PairDataset],
    *,
    preset: str | Preset = CAPTIONS.name,
    image_encoder: str | ImageEncoder | None = None,
    text_encoder: str | TextEncoder | None = None,
    root: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    checkpoints: str | Path | None = None,
    progress: bool = False,
) -> CrossModalModel:
    """Trains projectors on frozen encoders, and measures them on what is held out.

    Args:
        datasets: a registered name, such as `"flickr8k"`, or `"sketches:6000/1000"` with a
            protocol; a dataset as `load_dataset` gives it; or several of these, which are learnt
            from as one.
        preset: a way to train by its name, or a `Preset` of one's own, such as
            `replace(PRESETS["captions"], epochs=10)`.
        image_encoder, text_encoder: by name, or built already. A text encoder is fitted on the
            training captions. None takes `"efficientnet_lite2"` and `"sentence"` where their
            weights are installed, and else `"mobilenet_v2"` and `"bow"`.
        root: the folder of a single dataset that is given by name.
        seed: Random seed.
        device: see `load`.
        cache_dir: where features are kept; by default `$CMR_CACHE_HOME`.
        checkpoints: a folder that makes the run resumable.
        progress: show how far it is.

    Returns:
        The model, ready for `save_pretrained`; what it reached on the test split stands in
        `model.training`. It has no gallery yet: see `build_gallery`.

    Raises:
        UnknownNameError: no such dataset, protocol, preset or encoder, or nothing held out.
        TrainingError: the preset cannot do without labels, and there are none.
        CMRError: a dataset cannot be read, or the method is no pair of projectors.

    Example:
        >>> model = train("flickr8k", seed=0)                              # doctest: +SKIP
        >>> model.training["captions"]["recall_t2i"]                       # doctest: +SKIP
    """
    method = get_method(preset) if isinstance(preset, str) else preset
    refuse_without_model(method)
    placement = Placement.of(device)
    if image_encoder is None:
        image_encoder = default_image_encoder()
    if text_encoder is None:
        text_encoder = default_text_encoder()
    if isinstance(text_encoder, str):
        text_encoder = text_encoder_named(text_encoder)
    several = [datasets] if isinstance(datasets, str | PairDataset) else list(datasets)
    data = load_training_data(several, root)
    pictures = isinstance(data, PairDataset)
    if pictures and isinstance(image_encoder, str):
        image_encoder = image_encoder_named(image_encoder)
    model = run_experiment(
        data,
        method,
        seed,
        image_encoder=None if isinstance(image_encoder, str) else image_encoder.to(placement),
        text_encoder=text_encoder.to(placement) if pictures else None,
        cache=FeatureCache(cache_dir),
        checkpoints=checkpoints,
        device=placement.device,
        progress=progress,
    ).model
    if model is None:
        raise CMRError(f"{method.name} gave no model")
    return model


def load_training_data(
    datasets: Sequence[str | PairDataset],
    root: str | Path | None = None,
    protocol: str | None = None,
) -> PairDataset | FeatureDataset:
    """The datasets as one, with a test split where anything is held out.

    Args:
        datasets: `NAME`, `NAME:PROTOCOL`, or read already.
        root, protocol: of a single dataset given by name.

    Raises:
        CMRError: one cannot be read; several of which one has features and no pictures; or `root`
            or `protocol` with several.
    """
    if len(datasets) > 1 and (root is not None or protocol is not None):
        raise CMRError(
            "a root and a protocol are of one dataset: of several, put them under $CMR_DATA_HOME "
            "and write NAME:PROTOCOL"
        )
    loaded: list[PairDataset | FeatureDataset] = []
    for dataset in datasets:
        if isinstance(dataset, str):
            name, _, own = dataset.partition(":")
            loaded.append(load_dataset(name, root, protocol or own or None))
        else:
            loaded.append(dataset)
    if len(loaded) == 1:
        return with_test_split(loaded[0])
    pictures = [dataset for dataset in loaded if isinstance(dataset, PairDataset)]
    if len(pictures) < len(loaded):
        raise CMRError("features without pictures cannot be joined with other datasets")
    return join_measured(pictures)


def default_image_encoder() -> str:
    """What sees most in photographs of what is installed."""
    return "efficientnet_lite2" if EFFICIENTNET_LITE2.is_installed else "mobilenet_v2"


def default_text_encoder() -> str:
    """What reads captions best of what is installed."""
    return "sentence" if MINILM.is_installed else "bow"
