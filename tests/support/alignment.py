"""Data for the alignment tests: single-colour pictures and sentences that name the colour."""

from scripts.default.alignment import Alignment

N, V, SIDE = 48, 2, 32
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 50), "blue": (40, 60, 220), "grey": (90,) * 3}
SETTINGS = Alignment(
    epochs=3,
    batch_size=8,
    learning_rate=3e-3,
    sizes=((32, 1.0),),
    dim=16,
    image_hidden=(),
    text_hidden=(16,),
    projector_learning_rate=3e-3,
    alike=2,
)


def weights(result):
    return result.encoder.weights_sha256


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]
