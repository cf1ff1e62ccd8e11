"""`load`: a model and the gallery that was saved with it."""

from __future__ import annotations

from pathlib import Path

from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.files import GALLERY, PICTURES
from cmr_hub.releases import RELEASES, release_directory


def load(name: str | Path = "default") -> CrossModalModel:
    """Reads a model; its gallery, if it has one, is attached for `model.search`.

    Args:
        name: a directory that `cmr train` or `model.save_pretrained` wrote, or the name of a
            release that comes with the package. Without it the embedded default: no weights
            are downloaded, and its gallery of sketches is ready to be searched.

    Raises:
        ModelFormatError: neither of the two, or a file of it is missing, damaged or does not fit.

    Example:
        >>> from cmr_hub import load                                        # doctest: +SKIP
        >>> load().search("two red buses on a street at night", k=5)        # doctest: +SKIP
        >>> load("runs/pascal").search("two men on a motorbike", k=5)       # doctest: +SKIP
    """
    directory = Path(name)
    if not directory.is_dir():
        if str(name) not in RELEASES:
            raise ModelFormatError(
                f"there is no model directory {directory}, and no release of this name "
                f"({', '.join(RELEASES)}); train one with `cmr train --out {directory}`"
            )
        directory = release_directory(str(name))
    model = CrossModalModel.from_pretrained(directory)
    if (directory / GALLERY).exists():
        pictures = directory / PICTURES
        model.gallery = Gallery.open(
            directory / GALLERY,
            model,
            root=pictures if pictures.is_dir() else None,
        )
    return model
