"""Fine-tuning images: the last blocks of their encoder are trained with the projectors."""

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
from cmr_hub.encoders.images.parallel import side_by_side
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.errors import TrainingError
from cmr_hub.memory import require_memory

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.types import ImageSource, JSONObject

_CHUNK = 64  # views through the trained blocks at a time, where no gradient is wanted


@dataclass(frozen=True)
class FineTuning:
    """How the image encoder is fine-tuned.

    Args:
        blocks: how many of its last blocks learn; see `ImageEncoder.blocks`.
        views: of each picture, one as the encoder itself sees it, the others augmented. They are
            drawn once: the frozen blocks then see each only once, not in every epoch.
        learning_rate: of AdamW, for these blocks; the projectors keep the preset's.
    """

    blocks: int
    views: int = 6
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.views < 1 or not self.learning_rate > 0:
            raise TrainingError(
                "fine-tuning wants at least one block, at least one view and a learning rate "
                f"above 0, not {self.blocks}, {self.views} and {self.learning_rate}"
            )

    def as_dict(self) -> JSONObject:
        """Plain JSON values, for records."""
        return asdict(self)


class ImageTail(nn.Module):
    """The last blocks of an image encoder: activations of the frozen ones → features.

    Always in evaluation mode, training or not: batch norm goes on with the statistics of the
    weights it came with, which the few pictures here could only blur.

    Args:
        blocks: from `ImageEncoder.cut`; copied.
        learning_rate: of these blocks.
    """

    def __init__(self, blocks: nn.Sequential, learning_rate: float) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(blocks).eval()
        self.learning_rate = learning_rate

    def train(self, mode: bool = True) -> ImageTail:
        return super().train(False)

    def forward(self, activations: Tensor) -> Tensor:
        """(B, ...) float16 activations → (B, dim) float32 features."""
        rows = activations.float()
        if rows.ndim == 4:
            rows = rows.contiguous(memory_format=torch.channels_last)
        features: Tensor = self.blocks(rows)
        return features

    def draw(self, views: Tensor) -> Tensor:
        """(B, V, ...) views → (B, dim) features of one view of each, drawn at random."""
        chosen = torch.randint(views.shape[1], (len(views),))
        features: Tensor = self(views[torch.arange(len(views), device=views.device), chosen])
        return features

    @torch.no_grad()
    def plain(self, views: Tensor) -> Tensor:
        """(N, V, ...) views → (N, dim) features of the first, which is not augmented."""
        return torch.cat([self(chunk[:, 0]) for chunk in views.split(_CHUNK)])


def view_activations(
    encoder: ImageEncoder,
    images: Sequence[ImageSource],
    tuning: FineTuning,
    seed: int,
    *,
    progress: bool = False,
) -> npt.NDArray[np.float16]:
    """What the frozen blocks give for some views of every picture.

    Args:
        encoder: to be fine-tuned.
        images: N pictures.
        tuning: how many blocks are not frozen, and how many views.
        seed: of the views.
        progress: show a bar.

    Returns:
        (N, V, ...): view 0 is the one that `encoder.encode` sees, the others are random.

    Raises:
        TrainingError: they would not fit into memory.
        ImageError: a picture cannot be read; the message names it.
        CMRError: the encoder has not so many blocks.
    """
    if not images:
        raise TrainingError("there are no pictures to fine-tune with")
    frozen, _ = encoder.cut(tuning.blocks)
    prepare = encoder.preprocessing
    if not isinstance(prepare, Preprocessing):
        raise TrainingError(f"{encoder.name} has no random views to be fine-tuned with")

    def work(row: int) -> npt.NDArray[np.float16]:
        picture, generator = read_image(images[row]), np.random.default_rng((seed, row))
        views = [prepare(picture)]
        views += [prepare.augmented(picture, generator) for _ in range(tuning.views - 1)]
        batch = torch.stack(views).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            found = torch.cat([frozen(few) for few in batch.split(encoder.batch_size)])
        activations: npt.NDArray[np.float16] = found.half().numpy()
        return activations

    shape = (len(images), *work(0).shape)
    require_memory(
        # Twice: the pairs to fit on and those for validation are a copy.
        2 * 2 * int(np.prod(shape, dtype=np.int64)),
        f"fine-tuning {encoder.name} with {shape[1]} views of {shape[0]} pictures",
        "take fewer views, or fewer blocks where these have smaller inputs",
    )
    kept = np.empty(shape, dtype=np.float16)
    bar = tqdm(
        side_by_side(work, range(len(images))),
        total=len(images),
        desc=f"{encoder.name} views",
        unit="image",
        disable=None if progress else True,
    )
    for row, found in enumerate(bar):
        kept[row] = found
    return kept
