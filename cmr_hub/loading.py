"""`load`: a model and the gallery that was saved with it."""

from __future__ import annotations

from pathlib import Path

from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.files import GALLERY


def load(name: str | Path) -> CrossModalModel:
    """Reads a model directory; its gallery, if it has one, is attached for `model.search`.

    Args:
        name: a directory that `cmr train` or `model.save_pretrained` wrote.

    Raises:
        ModelFormatError: no such directory, or a file of it is missing, damaged or does not fit.

    Example:
        >>> from cmr_hub import load                                        # doctest: +SKIP
        >>> load("runs/pascal").search("two men on a motorbike", k=5)       # doctest: +SKIP
    """
    directory = Path(name)
    if not directory.is_dir():
        raise ModelFormatError(
            f"there is no model directory {directory}; train one with `cmr train --out {directory}`"
        )
    model = CrossModalModel.from_pretrained(directory)
    if (directory / GALLERY).exists():
        model.gallery = Gallery.open(directory / GALLERY, model_id=model.fingerprint)
    return model
