"""Compare a model whose projectors started as the identity with its zero-shot figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

_COMPARED: Final = {
    "map_avg": "MAP@all",
    "recall_avg": "recall of the own pair (mean of @1, @5 and @10)",
}


def starts_from_features(record: JSONObject) -> bool:
    """Return whether training started from the features of the model's current encoders.

    This is false if an encoder was fine-tuned.
    """
    tuned = record.get("fine_tuned") or record.get("text_fine_tuned")
    return bool(record.get("zero_shot")) and not tuned


def against_zero_shot(record: JSONObject) -> str:
    """Describe how training changed the figures of the test pairs.

    Args:
        record: record of a run, with the figures of the untrained features in `zero_shot`.

    Returns:
        A text; empty if the run has no zero-shot figures.
    """
    before = record.get("zero_shot")
    if not before:
        return ""
    if not record["epochs"]:
        return (
            "No epoch was better than zero-shot on the validation pairs: "
            "this model is the zero-shot model."
        )
    compared = [
        (f"{name} {record[key]:.3f} against {before[key]:.3f}", record[key] - before[key])
        for key, name in _COMPARED.items()
        if record.get(key) is not None and before.get(key) is not None
    ]
    better = [text for text, difference in compared if difference > 0]
    worse = [text for text, difference in compared if difference < 0]
    sentences = []
    if better:
        sentences.append(f"Training improved on zero-shot on the test pairs: {', '.join(better)}.")
    if worse:
        sentences.append(f"Training ended BELOW zero-shot on the test pairs: {', '.join(worse)}.")
    return " ".join(sentences) or "Training changed nothing on the test pairs."
