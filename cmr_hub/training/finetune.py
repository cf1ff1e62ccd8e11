"""Fine-tune the last blocks of the image encoder together with the projectors."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images.parallel import thread_map
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.errors import TrainingError
from cmr_hub.memory import require_memory

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.types import ImageSource, JSONObject

_CHUNK = 64  # batch size of the trained blocks without gradients


@dataclass(frozen=True)
class FineTuning:
    """Options for fine-tuning the image encoder.

    Args:
        blocks: number of last blocks to train; see `ImageEncoder.blocks`.
        views: number of views of each picture; the first is unmodified, the others augmented.
            They are sampled once, so that the frozen blocks run once and not in every epoch.
        learning_rate: AdamW learning rate of these blocks; the projectors use the preset's.
    """

    blocks: int
    views: int = 6
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.views < 1 or not self.learning_rate > 0:
            raise TrainingError(
                "fine-tuning needs at least one block, at least one view and a learning rate "
                f"above 0, not {self.blocks}, {self.views} and {self.learning_rate}"
            )

    def as_dict(self) -> JSONObject:
        """Return JSON values for records."""
        return asdict(self)


class ImageTail(nn.Module):
    """The last blocks of an image encoder, which map activations of the frozen blocks to features.

    The blocks stay in evaluation mode: batch norm keeps its pretrained statistics, because the
    training pictures are too few to estimate better ones.

    Args:
        blocks: blocks from `ImageEncoder.cut`; they are copied.
        learning_rate: learning rate of these blocks.
    """

    def __init__(self, blocks: nn.Sequential, learning_rate: float) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(blocks).eval()
        self.learning_rate = learning_rate

    def train(self, mode: bool = True) -> ImageTail:
        return super().train(False)

    def forward(self, activations: Tensor) -> Tensor:
        """Map (B, ...) float16 activations to (B, dim) float32 features."""
        rows = activations.float()
        if rows.ndim == 4:
            rows = rows.contiguous(memory_format=torch.channels_last)
        features: Tensor = self.blocks(rows)
        return features

    def draw(self, views: Tensor) -> Tensor:
        """Map (B, V, ...) views to (B, dim) features of one random view of each picture."""
        chosen = torch.randint(views.shape[1], (len(views),))
        features: Tensor = self(views[torch.arange(len(views), device=views.device), chosen])
        return features

    @torch.no_grad()
    def plain(self, views: Tensor) -> Tensor:
        """Map (N, V, ...) views to (N, dim) features of the first, unmodified view."""
        return torch.cat([self(chunk[:, 0]) for chunk in views.split(_CHUNK)])


def view_activations(
    encoder: ImageEncoder,
    images: Sequence[ImageSource],
    tuning: FineTuning,
    seed: int,
    *,
    progress: bool = False,
) -> npt.NDArray[np.float16]:
    """Compute the activations of the frozen blocks for several views of every picture.

    Args:
        encoder: the encoder to fine-tune.
        images: N pictures.
        tuning: number of blocks to train and number of views.
        seed: random seed of the views.
        progress: show a progress bar.

    Returns:
        (N, V, ...) activations. View 0 is the one that `encoder.encode` uses; the others are
        random.

    Raises:
        TrainingError: the activations do not fit into memory.
        ImageError: a picture cannot be read; the message names it.
        CMRError: the encoder has fewer blocks than `tuning`.
    """
    if not images:
        raise TrainingError("fine-tuning needs at least one picture")
    frozen, _ = encoder.cut(tuning.blocks)
    prepare = encoder.preprocessing
    if not isinstance(prepare, Preprocessing):
        raise TrainingError(f"{encoder.name} cannot be fine-tuned: it has no random views")

    def work(row: int) -> npt.NDArray[np.float16]:
        picture, generator = read_image(images[row]), np.random.default_rng((seed, row))
        views = [prepare(picture)]
        views += [prepare.augmented(picture, generator) for _ in range(tuning.views - 1)]
        batch = torch.stack(views).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            rows = torch.cat([frozen(part) for part in batch.split(encoder.batch_size)])
        activations: npt.NDArray[np.float16] = rows.half().numpy()
        return activations

    shape = (len(images), *work(0).shape)
    require_memory(
        # Double, because the split into training and validation pairs makes a copy.
        2 * 2 * int(np.prod(shape, dtype=np.int64)),
        f"fine-tuning {encoder.name} with {shape[1]} views of {shape[0]} pictures",
        "use fewer views, or fewer blocks if their inputs are smaller",
    )
    activations = np.empty(shape, dtype=np.float16)
    bar = tqdm(
        thread_map(work, range(len(images))),
        total=len(images),
        desc=f"{encoder.name} views",
        unit="image",
        disable=None if progress else True,
    )
    for row, views in enumerate(bar):
        activations[row] = views
    return activations
