"""The record of one run: dataset, encoders, method, training and figures."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmr_hub.errors import ModelFormatError, shown
from cmr_hub.types import JSONObject

_Whole: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**63)]
# The JSON parser of pydantic makes a float of an integer that is too large.
_Real: TypeAlias = Annotated[float, Field(allow_inf_nan=False, ge=-(2**63), lt=2**63)] | _Whole
_Number: TypeAlias = _Real | None
_Numbers: TypeAlias = list[_Real] | None
_Named: TypeAlias = dict[str, _Number] | None


class Figures(BaseModel):
    """The figures of a run; None if not measured, such as an accuracy without a classifier.

    `i2t` is image to text, `t2i` text to image, `avg` the mean of both.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    map_i2t: _Number
    map_t2i: _Number
    map_avg: _Number
    map50_avg: _Number
    image_accuracy: _Number
    text_accuracy: _Number
    map50_i2t: _Number = None
    map50_t2i: _Number = None
    map_i2i: _Number = None
    recall_avg: _Number = None
    recall_i2t: _Named = None
    recall_t2i: _Named = None
    precision_i2t: _Named = None
    precision_t2i: _Named = None
    per_class_map_i2t: _Named = None
    per_class_map_t2i: _Named = None
    pr_recall: _Numbers = None
    pr_curve_i2t: _Numbers = None
    pr_curve_t2i: _Numbers = None
    validation_map: _Number = None

    def figure(self, name: str) -> float | None:
        """Return a figure by name, such as `map_avg` or `recall_i2t@10`; None if not measured."""
        name, _, depth = name.partition("@")
        value = getattr(self, name, None)
        if depth and value is not None:
            value = value.get(depth)
        return None if value is None else float(value)

    def to_dict(self) -> JSONObject:
        """Return the fields that were set as JSON values."""
        return self.model_dump(exclude_unset=True)


class RunRecord(Figures):
    """One line of the results store.

    Unknown keys are preserved, because other releases may have written them.
    """

    dataset: str
    protocol: str
    image_encoder: str
    text_encoder: str
    preset: str
    """The preset or the baseline."""
    objective: str | dict[str, Any]
    seed: _Whole
    epochs: _Whole
    seconds: _Real
    """Training time, including the time before a resumed run was interrupted."""
    versions: dict[str, Any]
    """See `results.versions`."""
    settings: dict[str, Any] = {}
    classes: list[str] | None = None
    image_weights: str | None = None
    """SHA-256 of the image encoder's weights."""
    text_options: dict[str, Any] | None = None
    fine_tuned: dict[str, Any] | None = None
    text_fine_tuned: dict[str, Any] | None = None
    trained_on: dict[str, Any] | None = None
    """Dataset and protocol of the training, if the model is evaluated on another dataset."""
    split: str | None = None
    pairs: dict[str, Any] | None = None
    """Number of pairs of each split."""
    test_texts_without_known_word: int | None = None
    relevance: str | None = None
    map50_denominator: str | None = None
    zero_shot: Figures | None = None
    """Figures of features that share a space, before any training."""
    nested: dict[str, Any] | None = None
    """Candidates scored inside the training part, the chosen one and the seconds; see `choose`."""
    cell: str | None = None
    """Key of the cell of a grid."""
    run: str | None = None
    """Identifier of the training, so that a resumed run is stored once."""
    finished: str | None = None
    superseded: str | None = None
    """Why and when another run replaced this one; it remains in the store but not in the tables."""

    def before_training(self) -> RunRecord | None:
        """Return the same run with the figures of `zero_shot`; None if it has none."""
        if self.zero_shot is None:
            return None
        facts = {key: v for key, v in self.to_dict().items() if key not in Figures.model_fields}
        return RunRecord.model_validate(facts | self.zero_shot.to_dict())

    @classmethod
    def parse(cls, given: object) -> Self:
        """Validate a JSON object.

        Raises:
            ModelFormatError: a required key is missing, or a value has another type.
        """
        if not isinstance(given, dict):
            raise ModelFormatError(f"a run is a JSON object, not {type(given).__name__}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            missing = [one["loc"] for one in problems if one["type"] == "missing"]
            if missing:
                names = ", ".join(".".join(map(str, place)) for place in missing)
                raise ModelFormatError(f"without {names}, so the run must be repeated") from error
            first = problems[0]
            # A number may be of two types; the last part of its place names one of them.
            place = ".".join(map(str, first["loc"])).removesuffix(".constrained-float")
            cause = "; training diverged" if first["type"] == "finite_number" else ""
            raise ModelFormatError(
                f"{place}: {first['msg']}, not {shown(first['input'])}{cause}"
            ) from error
