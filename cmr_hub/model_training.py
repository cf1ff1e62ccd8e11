"""`train`: a model from data and the names of encoders and of a way to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmr_hub.datasets import FeatureDataset, PairDataset
from cmr_hub.datasets.given import DataLike, as_dataset, in_order
from cmr_hub.datasets.measured import join_measured, with_held_out, with_test_split
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder as image_encoder_named
from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2, MINILM
from cmr_hub.encoders.texts import text_encoder as text_encoder_named
from cmr_hub.errors import CMRError, shown
from cmr_hub.experiments.methods import get_method, refuse_without_model
from cmr_hub.experiments.run import run_experiment
from cmr_hub.losses.description import objective_spec
from cmr_hub.training.presets import CAPTIONS, Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.losses.base import Loss
    from cmr_hub.models.cross_modal import CrossModalModel


def train(
    pairs: DataLike | Sequence[str | PairDataset],
    *,
    preset: str | Preset = CAPTIONS.name,
    objective: (
        str | Loss | type[Loss] | Mapping[str, Mapping[str, Any] | Loss | type[Loss]] | None
    ) = None,
    image_encoder: str | ImageEncoder | type[ImageEncoder] | None = None,
    text_encoder: str | TextEncoder | type[TextEncoder] | None = None,
    epochs: int | None = None,
    root: str | Path | None = None,
    protocol: str | None = None,
    test_size: float = 0.2,
    seed: int = 0,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    checkpoints: str | Path | None = None,
    progress: bool = False,
) -> CrossModalModel:
    """Trains projectors on frozen encoders, or on features, and measures them on held-out pairs.

    Args:
        pairs: a registered name, such as `"flickr8k"`, or `"flickr8k:6000/1000"` with a protocol;
            a folder as `datasets.Folder` reads it; a dataset; several datasets, which are learnt
            from as one; or `(images, texts)` or `(images, texts, labels)`: arrays (N, Di) and
            (N, Dt) of features and N labels, names or numbers.
        preset: a way to train by its name, or a `Preset` of one's own, such as
            `replace(PRESETS["captions"], batch_size=100)`.
        objective: what to minimise in place of the preset's own objective: a loss by name, such
            as `"triplet"`; a loss object, such as `losses.TripletLoss(margin=0.2)`; a subclass of
            `losses.Loss`; or several terms by name, such as
            `{"infonce": {}, "triplet": {"weight": 0.5, "margin": 0.2}}`.
        image_encoder, text_encoder: by name, built already, or a class. A text encoder is fitted
            on the training captions. None takes `"efficientnet_lite2"` and `"sentence"` where
            their weights are installed, and else `"mobilenet_v2"` and `"bow"`.
        epochs: at most so many; None takes the preset's.
        root, protocol: of a single dataset that is given by name.
        test_size: the share of pairs that are held out to be measured on, at random and of each
            class, where the data holds nothing out itself: arrays, and folders without a test or
            validation folder.
        seed: Random seed.
        device: see `load`.
        cache_dir: where features are kept; by default `$CMR_CACHE_HOME`.
        checkpoints: a folder that makes the run resumable.
        progress: show how far it is.

    Returns:
        The model, ready for `save_pretrained`; what it reached on the test split stands in
        `model.training`. It has no gallery yet: see `Gallery.create`.

    Raises:
        UnknownNameError: no such dataset, protocol, preset, loss or encoder.
        TrainingError: the preset or the loss cannot do without labels, and there are none.
        DataNotFoundError, DataFormatError: the data cannot be read.
        CMRError: what is given is of another kind, or the method is no pair of projectors.

    Example:
        >>> model = train("flickr8k", seed=0)                              # doctest: +SKIP
        >>> model.training["captions"]["recall_t2i"]                       # doctest: +SKIP
        >>> model = train((images, texts, labels), objective="supcon")     # doctest: +SKIP
    """
    method = _method(preset, objective, epochs)
    placement = Placement.of(device)
    several = in_order(pairs)
    data: PairDataset | FeatureDataset
    if len(several) == 1:
        data = with_held_out(as_dataset(several[0], root, protocol), test_size, seed)
    else:
        data = load_training_data(several, root, protocol)
    images, texts = None, None
    if isinstance(data, PairDataset):
        images = image_encoder_named(image_encoder or default_image_encoder()).to(placement)
        texts = text_encoder_named(text_encoder or default_text_encoder()).to(placement)
    elif image_encoder is not None or text_encoder is not None:
        raise CMRError(f"{data.name} are features already: leave the encoders out")
    model = run_experiment(
        data,
        method,
        seed,
        image_encoder=images,
        text_encoder=texts,
        cache=FeatureCache(cache_dir),
        checkpoints=checkpoints,
        device=placement.device,
        progress=progress,
    ).model
    if model is None:
        raise CMRError(f"{method.name} gave no model")
    return model


def _method(preset: str | Preset, objective: Any, epochs: int | None) -> Preset | Baseline:
    """The way to train that is asked for."""
    if not isinstance(preset, str | Preset):
        raise CMRError(f"a preset is a name or a Preset, not {shown(preset)}")
    method = get_method(preset) if isinstance(preset, str) else preset
    refuse_without_model(method)
    if objective is None and epochs is None:
        return method
    if not isinstance(method, Preset):
        raise CMRError(f"{method.name} is fitted in closed form: it has no objective and no epochs")
    if objective is not None:
        # Whether labels are needed is now for the losses to say.
        method = replace(method, objective=objective_spec(objective), supervised=False)
    if epochs is not None:
        if not isinstance(epochs, int) or epochs < 1:
            raise CMRError(f"epochs is a whole number from 1 on, not {shown(epochs)}")
        method = replace(method, epochs=epochs, warmup=min(method.warmup, epochs))
    return method


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
    loaded = [as_dataset(dataset, root, protocol) for dataset in datasets]
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
