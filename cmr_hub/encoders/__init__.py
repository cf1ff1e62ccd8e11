"""Encoders of pictures and texts: base classes, and registration of custom ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from cmr_hub.errors import CMRError, shown
from cmr_hub.lazy_names import lazy_names

if TYPE_CHECKING:
    from cmr_hub.encoders.images import image_encoder
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.images.network import NetworkEncoder
    from cmr_hub.encoders.images.preprocessing import Preprocessing
    from cmr_hub.encoders.texts import text_encoder
    from cmr_hub.encoders.texts.base import TextEncoder

__all__ = [
    "ImageEncoder",
    "NetworkEncoder",
    "Preprocessing",
    "TextEncoder",
    "image_encoder",
    "register",
    "text_encoder",
]

T = TypeVar("T")

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "ImageEncoder": "cmr_hub.encoders.images.base:ImageEncoder",
            "NetworkEncoder": "cmr_hub.encoders.images.network:NetworkEncoder",
            "Preprocessing": "cmr_hub.encoders.images.preprocessing:Preprocessing",
            "TextEncoder": "cmr_hub.encoders.texts.base:TextEncoder",
            "image_encoder": "cmr_hub.encoders.images:image_encoder",
            "text_encoder": "cmr_hub.encoders.texts:text_encoder",
        },
    )


def refuse_other_name(kind: object, name: str) -> None:
    """Raise CMRError if the `name` of a class, which models store, is not its registered name."""
    class_name = getattr(kind, "name", None)
    if class_name != name:
        raise CMRError(
            f"the encoder {shown(name)} has the class attribute name = {shown(class_name)}, which "
            "saved models store: use one name for both"
        )


def register(name: str) -> Callable[[T], T]:
    """Return a decorator that registers a subclass of `ImageEncoder` or `TextEncoder`.

    The registration applies to this process. To register an encoder for every process, declare an
    entry point of the group `cmr_hub.encoders` in an installed package.

    Raises:
        CMRError: The name is taken or differs from the `name` of the class, which saved models
            store, or the class has neither base class.

    Example:
        >>> @register("colours")                                            # doctest: +SKIP
        ... class ColourEncoder(ImageEncoder):
        ...     name = "colours"
        >>> cmr_hub.train("flickr8k", image_encoder="colours")              # doctest: +SKIP
    """
    from cmr_hub.encoders.images import IMAGE_ENCODERS
    from cmr_hub.encoders.texts import TEXT_ENCODERS

    def add(kind: T) -> T:
        registry = TEXT_ENCODERS if TEXT_ENCODERS.accepts(kind) else IMAGE_ENCODERS
        if registry.accepts(kind):
            refuse_other_name(kind, name)
        return registry.register(name)(kind)

    return add
