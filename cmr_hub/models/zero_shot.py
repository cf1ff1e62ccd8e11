"""Zero-shot classification of pictures by the names of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from cmr_hub.datasets.metadata import is_clean
from cmr_hub.errors import QueryError, UnknownWordsError, shown

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, ImageSource

TEMPLATE = "a photo of {}"
DEFAULT_LOGIT_SCALE = 8.0
"""Default for models without a learnt scale. It gave the best calibrated probabilities on average
over nine models that were trained with this library (results/zero-shot.json)."""
MAX_TEXTS = 100_000
"""Maximum number of names times templates, above 1,000 ImageNet classes times CLIP's 80."""
MAX_LETTERS = 1_000
_PLACE = "{}"


class ClassProbability(NamedTuple):
    """A class and its probability for a picture."""

    name: str
    probability: float
    """In [0, 1]; the sum over all names is 1."""


class DualEncoder(Protocol):
    """A model that encodes pictures and texts into one space."""

    @property
    def logit_scale(self) -> float: ...

    def encode_images(
        self, images: Sequence[ImageSource], *, progress: bool = False
    ) -> FloatArray: ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray: ...


def classify(
    model: DualEncoder,
    images: Sequence[ImageSource],
    names: Sequence[str],
    *,
    template: str | Sequence[str] = TEMPLATE,
    temperature: float | None = None,
    progress: bool = False,
) -> list[list[ClassProbability]]:
    """Return the probabilities of all names for each picture; see `CrossModalModel.classify`."""
    scale = softmax_temperature(model, temperature)
    classes = class_vectors(model, names, template)
    shares = class_probabilities(model.encode_images(images, progress=progress), classes, scale)
    orders = np.argsort(-shares, axis=1, kind="stable")
    return [
        [ClassProbability(names[place], float(row[place])) for place in order]
        for row, order in zip(shares, orders, strict=True)
    ]


def class_vectors(
    model: DualEncoder, names: Sequence[str], template: str | Sequence[str] = TEMPLATE
) -> FloatArray:
    """Return the vectors of classes, each the mean over the templates.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
    ICML 2021, section 3.1.4.

    Args:
        model: model to encode the texts with.
        names: C distinct names.
        template: a text with `{}` for the name, or several.

    Returns:
        (C, d) float32 unit vectors.

    Raises:
        QueryError: there are no names or too many, a name is repeated or not a text, or a template
            does not have exactly one `{}`.
        UnknownWordsError: a name has no word in the model's vocabulary.
    """
    templates = _checked_templates(template)
    names = _checked_names(names, len(templates))
    bare = _bare_vectors(model, names)
    total = np.zeros(bare.shape)
    for text in templates:
        total += (
            bare
            if text == _PLACE
            else model.encode_texts([text.replace(_PLACE, name) for name in names])
        )
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    if not lengths.all():
        name = names[int(np.argmin(lengths))]
        raise QueryError(
            f"the vectors of the templates of {shown(name)} cancel out: use other templates"
        )
    return np.asarray(total / lengths, dtype=np.float32)


def class_probabilities(
    images: npt.ArrayLike, classes: npt.ArrayLike, temperature: float
) -> FloatArray:
    """Return the probability of each class for each picture.

        p(c | v) = exp(v · w_c / T) / Σ_k exp(v · w_k / T)

    Source: Radford et al. 2021, section 3.1.2.

    Args:
        images: (N, d) unit vectors v.
        classes: (C, d) unit vectors w.
        temperature: T > 0.

    Returns:
        (N, C) float32; each row sums to 1.
    """
    cosines = np.asarray(images, dtype=np.float64) @ np.asarray(classes, dtype=np.float64).T
    with np.errstate(over="ignore"):  # for a tiny T, all logits but the best are −∞
        logits = (cosines - cosines.max(axis=1, keepdims=True)) / temperature
    shares = np.exp(logits)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)


def softmax_temperature(model: DualEncoder, temperature: float | None) -> float:
    """Return the temperature; if it is None, 1 / `logit_scale` of the model.

    Raises:
        QueryError: the temperature is not a number above 0.
    """
    if temperature is None:
        return 1 / model.logit_scale
    if not 0 < temperature < math.inf:
        raise QueryError(f"the temperature must be a number above 0, not {shown(temperature)}")
    return float(temperature)


def _checked_templates(template: str | Sequence[str]) -> list[str]:
    templates = [template] if isinstance(template, str) else list(template)
    if not templates:
        raise QueryError(f"pass a template for the sentences, for example {TEMPLATE!r}")
    for text in templates:
        if not isinstance(text, str) or not is_clean(text) or len(text) > MAX_LETTERS:
            raise QueryError(
                f"a template must be a text of at most {MAX_LETTERS:,} letters, not {shown(text)}"
            )
        # Only {} is replaced, because str.format lets a template read attributes of the name.
        if text.count(_PLACE) != 1 or set(text.replace(_PLACE, "")) & {"{", "}"}:
            raise QueryError(
                f"the template {shown(text)} must contain {{}} for the name once and no other "
                f"braces, for example {TEMPLATE!r}"
            )
    return templates


def _checked_names(names: Sequence[str], templates: int) -> list[str]:
    if isinstance(names, str):
        raise QueryError(f"names must be a list; got the single text {shown(names)}")
    names = list(names)
    if not names:
        raise QueryError("pass the name of at least one class")
    if len(names) * templates > MAX_TEXTS:
        raise QueryError(
            f"{len(names):,} names with {templates:,} templates are too many: use at most "
            f"{MAX_TEXTS:,} texts"
        )
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name.strip() or not is_clean(name):
            raise QueryError(f"{shown(name)} is not a valid class name: pass a text")
        if len(name) > MAX_LETTERS:
            raise QueryError(f"the name {shown(name)}… is longer than {MAX_LETTERS:,} letters")
        if name in seen:
            raise QueryError(f"the name {shown(name)} is repeated: class names must differ")
        seen.add(name)
    return names


def _bare_vectors(model: DualEncoder, names: Sequence[str]) -> FloatArray:
    """Return (C, d) vectors of the names without template; refuse names of unknown words only."""
    try:
        return model.encode_texts(names)
    except UnknownWordsError:
        for name in names:
            try:
                model.encode_texts([name])
            except UnknownWordsError as error:
                raise UnknownWordsError(f"the class {shown(name)}: {error}") from error
        raise
