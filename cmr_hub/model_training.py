"""Train a model from Python in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmr_hub.datasets import FeatureDataset, PairDataset
from cmr_hub.datasets.given import DataLike, as_dataset, as_list
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
    from cmr_hub.training.trainer import ReportTo

TEST_SIZE = 0.2
"""Share of the pairs that is held out by default, if data has no splits."""


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
    split: str | None = None,
    test_size: float = TEST_SIZE,
    seed: int = 0,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    checkpoints: str | Path | None = None,
    report_to: ReportTo | None = None,
    progress: bool = False,
) -> CrossModalModel:
    """Train projectors on frozen encoders or on features, and evaluate them on held-out pairs.

    Args:
        pairs: Name of a dataset, such as `"flickr8k"`, optionally with a protocol
            (`"flickr8k:6000/1000"`); a folder in the format of `datasets.Folder`; a file for
            `datasets.Features`; a dataset; a list of datasets to train on together; or feature
            arrays `(images, texts)` or `(images, texts, labels)` of shapes (N, Di), (N, Dt) and
            (N,). Labels are names or numbers; for several labels per pair, lists of them or (N, C)
            rows of 0 and 1.
        preset: Name of a preset or a baseline, or a `Preset`, such as
            `replace(PRESETS["captions"], batch_size=100)`.
        objective: Replaces the objective of the preset. Name of a loss, such as `"triplet"`; a
            loss object, such as `losses.TripletLoss(margin=0.2)`; a subclass of `losses.Loss`;
            or several terms by name, such as
            `{"infonce": {}, "triplet": {"weight": 0.5, "margin": 0.2}}`.
        image_encoder, text_encoder: Name, object or class. A text encoder is fitted on the
            training captions. Default: `"efficientnet_lite2"` and `"sentence"` if their weights
            are installed, otherwise `"mobilenet_v2"` and `"bow"`.
        epochs: Maximum number of epochs. Default: as in the preset.
        root, protocol: Folder and protocol of a single dataset given by name.
        split: Split to evaluate on: "test" or "validation". Default: "test" or, if there is no test
            split, "validation", which `model.training["protocol"]` records. Settings are then
            chosen on a part of the training pairs.
        test_size: Share of the pairs to hold out for the evaluation, drawn at random and
            stratified by class, if the data has no test or validation split.
        seed: Random seed.
        device: See `load`.
        cache_dir: Folder of cached features. Default: `$CMR_CACHE_HOME`.
        checkpoints: Folder of checkpoints, which make the run resumable.
        report_to: A function of a dictionary of figures and the number of the epoch, such as
            `wandb.log` or `mlflow.log_metrics`. It is called after every epoch, and finally with
            the figures of the test split.
        progress: Show progress bars.

    Returns:
        The model. `model.training` has its settings and its figures on the test split. It has no
        gallery; see `Gallery.create`.

    Raises:
        UnknownNameError: The dataset, protocol, preset, loss or encoder does not exist.
        TrainingError: The preset or the loss needs labels, and there are none.
        DataNotFoundError, DataFormatError: The data cannot be read.
        CMRError: An argument has another type, or the method does not train projectors.

    Example:
        >>> model = train("flickr8k", seed=0)                              # doctest: +SKIP
        >>> model.training["captions"]["recall_t2i"]                       # doctest: +SKIP
        >>> model = train((images, texts, labels), objective="supcon")     # doctest: +SKIP
    """
    method = _method(preset, objective, epochs)
    placement = Placement.of(device)
    several = as_list(pairs)
    data: PairDataset | FeatureDataset
    if len(several) == 1:
        data = with_held_out(as_dataset(several[0], root, protocol), test_size, seed, split)
    else:
        data = load_training_data(several, root, protocol, split)
    images, texts = None, None
    if isinstance(data, PairDataset):
        images = image_encoder_named(image_encoder or default_image_encoder()).to(placement)
        texts = text_encoder_named(text_encoder or default_text_encoder()).to(placement)
    elif image_encoder is not None or text_encoder is not None:
        raise CMRError(f"{data.name} already consists of features: omit the encoders")
    model = run_experiment(
        data,
        method,
        seed,
        image_encoder=images,
        text_encoder=texts,
        cache=FeatureCache(cache_dir),
        checkpoints=checkpoints,
        report_to=report_to,
        device=placement.device,
        progress=progress,
    ).model
    if model is None:
        raise CMRError(f"{method.name} does not train a model to return: choose a preset")
    return model


def _method(preset: str | Preset, objective: Any, epochs: int | None) -> Preset | Baseline:
    """Return the preset or baseline, with the objective and the epochs replaced if given."""
    if not isinstance(preset, str | Preset):
        raise CMRError(f"preset must be a name or a Preset, not {shown(preset)}")
    method = get_method(preset) if isinstance(preset, str) else preset
    refuse_without_model(method)
    if objective is None and epochs is None:
        return method
    if not isinstance(method, Preset):
        raise CMRError(f"{method.name} is fitted in closed form: it has no objective and no epochs")
    if objective is not None:
        # The losses determine whether labels are needed.
        method = replace(method, objective=objective_spec(objective), supervised=False)
    if epochs is not None:
        if not isinstance(epochs, int) or epochs < 1:
            raise CMRError(f"epochs must be a whole number of at least 1, not {shown(epochs)}")
        method = replace(method, epochs=epochs, warmup=min(method.warmup, epochs))
    return method


def load_training_data(
    datasets: Sequence[str | PairDataset],
    root: str | Path | None = None,
    protocol: str | None = None,
    split: str | None = None,
) -> PairDataset | FeatureDataset:
    """Load and join datasets, with a test split if any of them has held-out pairs.

    If a single dataset of features has none, a random part becomes the test split.

    Args:
        datasets: `NAME`, `NAME:PROTOCOL`, or datasets.
        root, protocol: Folder and protocol of a single dataset given by name.
        split: Split to evaluate on; see `train`.

    Raises:
        CMRError: A dataset cannot be read or has no such split, several datasets include one of
            features, or `root` or `protocol` is given with several.
    """
    if len(datasets) > 1 and (root is not None or protocol is not None):
        raise CMRError(
            "root and protocol apply to a single dataset: put several datasets under "
            "$CMR_DATA_HOME and write NAME:PROTOCOL"
        )
    loaded = [as_dataset(dataset, root, protocol) for dataset in datasets]
    if len(loaded) == 1:
        (only,) = loaded
        if isinstance(only, FeatureDataset):  # files of features often have no splits
            return with_held_out(only, TEST_SIZE, seed=0, split=split)
        return with_test_split(only, split)
    pictures = [dataset for dataset in loaded if isinstance(dataset, PairDataset)]
    if len(pictures) < len(loaded):
        raise CMRError("features without pictures cannot be joined with other datasets")
    return join_measured(pictures, split)


def default_image_encoder() -> str:
    """Return the name of the best installed encoder of photographs."""
    return "efficientnet_lite2" if EFFICIENTNET_LITE2.is_installed else "mobilenet_v2"


def default_text_encoder() -> str:
    """Return the name of the best installed encoder of captions."""
    return "sentence" if MINILM.is_installed else "bow"
