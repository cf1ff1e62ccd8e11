"""Every error that a user can mend is a CMRError; its message says how."""


class CMRError(Exception):
    """Base of all errors that the package raises on purpose."""


class DataNotFoundError(CMRError):
    """A dataset, or a part of it, is not where it was looked for."""


class DataFormatError(CMRError):
    """A dataset file is there but cannot be understood."""


class ImageError(CMRError):
    """A picture is broken, too large, or of a kind that is not read."""


class WeightsError(CMRError):
    """A weights file is missing, truncated, or not of this network."""


class UnknownNameError(CMRError):
    """No dataset, protocol, encoder, loss or preset has this name."""

    def __init__(self, kind: str, name: str, known: list[str], package: str | None = None) -> None:
        if package is not None:
            super().__init__(f"the {kind} {name!r} is not installed: pip install {package}")
        else:
            super().__init__(f"unknown {kind} {name!r}; choose one of: {', '.join(known)}")


class UnknownWordsError(CMRError):
    """A text has no word that the text encoder knows."""


class QueryError(CMRError):
    """A search was asked in a way that cannot be answered."""


class ModelFormatError(CMRError):
    """A model, gallery or run directory is incomplete, damaged or of an unknown version."""


class InUseError(CMRError):
    """Another process is writing to a folder."""


class GalleryInUseError(InUseError):
    """Another process is writing to a gallery."""


class StorageError(CMRError):
    """A file cannot be written: the disk is full, or may only be read."""


class TrainingError(CMRError):
    """Training cannot go on: too few items, a loss that is not finite, a mismatched run."""


class HubError(CMRError):
    """A repository on the Hub cannot be read or written."""
