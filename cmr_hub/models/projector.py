"""The projector, which maps features of one modality into the common space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmr_hub.errors import ModelFormatError, shown
from cmr_hub.models.projection import Projection, linear_parts

if TYPE_CHECKING:
    from cmr_hub.models.projection import Output
    from cmr_hub.types import FloatArray, JSONObject

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"relu": nn.ReLU, "tanh": nn.Tanh}

# RMS norm of a scaled feature row. Weights start at 1/√d, so the first layer's outputs start
# small but not negligible, for any scale of the encoder.
_ROW_LENGTH = 10.0
_LEAST_VARIANCE = 0.01


class InputScaling(nn.Module):
    """Centre and scale: x' = 10 (x − μ) / √(mean ‖x − μ‖²), fitted to the training rows.

    One scale for all dimensions suits dense network features as well as sparse TF-IDF rows, where
    dividing by the deviation of each word would inflate rare words.

    With `each`, x'_k = (x_k − μ_k) / √(σ_k² + σ²/100), σ² the mean of the variances σ_k². All
    dimensions then have nearly the same weight, except those that hardly vary.

    Args:
        dim: length d of a feature row.
        each: use a scale for each dimension. Only during training; see `with_one_scale`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, each: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim if each else ()))

    def fit(self, rows: Tensor) -> None:
        """Set μ and the scale from (N, dim) training rows."""
        self.mean.copy_(rows.mean(0))
        if self.scale.ndim:
            variance = (rows - self.mean).square().mean(0)
            deviation = (variance + _LEAST_VARIANCE * variance.mean()).sqrt()
            self.scale.copy_(torch.where(deviation > 0, 1 / deviation, 1.0))
            return
        length = (rows - self.mean).square().sum(1).mean().sqrt()
        self.scale.fill_(_ROW_LENGTH / length if length > 0 else 1.0)

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) * self.scale


class BlockLinear(nn.Linear):
    """A linear layer with a block-diagonal weight, stored without its zeros.

    The weight is (S · n) × m: the n × m weights of the S blocks, stacked vertically.

    Args:
        before, after: total numbers of inputs and outputs.
        blocks: number of blocks S.
    """

    def __init__(self, before: int, after: int, blocks: int) -> None:
        super().__init__(before // blocks, after)
        self.blocks = blocks

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, S · m) to (B, S · n)."""
        parts = rows.unflatten(1, (self.blocks, -1))
        weights = self.weight.unflatten(0, (self.blocks, -1))
        return torch.einsum("bsm,snm->bsn", parts, weights).flatten(1) + self.bias


class Projector(nn.Module):
    """An MLP that maps into the common space.

    Args:
        in_dim: length of a feature row.
        hidden: widths of the hidden layers; empty makes it linear.
        dim: dimension d of the common space.
        activation: a key of ACTIVATIONS, after each hidden layer.
        dropout: dropout rates of the inputs and of the hidden units.
        output: function of the last layer's output y:
            "linear": z = y;
            "sphere": z = radius · y/‖y‖, so that a classifier on it has logits of fixed scale
            (Ranjan et al. 2017, arXiv 1703.09507); cosine similarity does not change;
            "softmax": z = softmax(y), the class posteriors of a classifier;
            "posterior-0", "posterior-1": z = (p, l, 0) or (p, 0, l) with p = softmax(y) over
            dim − 2 classes and l = √(1 − ‖p‖²). These are unit vectors, and the cosine of an
            image (slot 0) and a text (slot 1) is p·q = Σ_c p_c q_c: the probability that both
            have the same class, if their classes are independent given image and text. Ranking by
            cosine is then ranking by the probability of relevance (Robertson 1977), whereas the
            cosine of plain posteriors divides it by ‖q‖ and ranks uncertain items too high. The
            slot for l reduces inner product to cosine as in Bachrach et al., RecSys 2014;
            "tanh": z = tanh(y).
        radius: radius of the sphere.
        blocks: for "sphere", the number S of equal parts of y that are normalised separately:
            z = radius · (y₁/‖y₁‖, …, y_S/‖y_S‖) / √S. The cosine is then the mean of the cosines
            of the parts, which combines S separately trained projectors; see `beside`. After the
            first layer, parts are connected only to their own units; see `BlockLinear`.
        linear_dim, linear_share: for "sphere" and "softmax", the output dimension of an additional
            linear map L of the scaled row x', and its share a of the cosine:
            z = radius · (√(1−a) · y/‖y‖, √a · Lx'/‖Lx'‖), with y of dim − linear_dim dimensions;
            for "softmax", y is softmax(y), and the radius 1. L is set and not trained; see
            `with_linear`. Lists define several linear parts; each is normalised separately.
        residual: add the output of the network to the row. With s the scale and μ the mean of the
            `InputScaling`, and the last layer initialised to zero,

                z = x + g(x),  g(x) = network(s (x − μ)) / s,

            so an untrained projector is the identity, and cosines do not depend on the scale of
            the rows. Use it for the two towers of a dual encoder (CLIP, SigLIP), which already
            share a space. Requires dim = in_dim and output "linear".
            Source: Houlsby et al., Parameter-Efficient Transfer Learning for NLP, ICML 2019
            (identity initialisation); Gao et al., CLIP-Adapter, 2021, arXiv 2110.04544, equation 3
            (features of a dual encoder, as α g(x) + (1 − α) x).

    Raises:
        ModelFormatError: a residual projector has different dimensions or another output; blocks
            are used with an output other than "sphere", or do not divide all layers equally.
    """

    def __init__(
        self,
        in_dim: int,
        hidden: Sequence[int],
        dim: int,
        activation: str = "relu",
        dropout: tuple[float, float] = (0.0, 0.0),
        output: Output = "linear",
        radius: float = 1.0,
        residual: bool = False,
        blocks: int = 1,
        linear_dim: int | Sequence[int] = 0,
        linear_share: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        self.linear_parts = linear_parts(linear_dim, linear_share)
        linear_dims = sum(part for part, _ in self.linear_parts)
        out_dim = dim - linear_dims
        if blocks != 1 and (output != "sphere" or any(n % blocks for n in (*hidden, out_dim))):
            raise ModelFormatError(
                f"{blocks} blocks need the output 'sphere', and widths that they divide equally, "
                f"not {shown(output)} and {[*hidden, out_dim]}"
            )
        takes_linear = output in ("sphere", "softmax")
        shares = [share for _, share in self.linear_parts]
        in_range = all(share > 0 for share in shares) and sum(shares) < 1
        if linear_dims and (not takes_linear or out_dim < 1 or not in_range):
            raise ModelFormatError(
                "a linear part needs the output 'sphere' or 'softmax', fewer dimensions than the "
                f"output and a share in (0, 1), not {shown(output)}, {linear_dim} of {dim} and "
                f"{linear_share}"
            )
        if residual and (in_dim != dim or output != "linear"):
            raise ModelFormatError(
                "a residual projector needs equal dimensions of input and output and the output "
                f"'linear', not {in_dim} → {dim} and {shown(output)}"
            )
        self.in_dim, self.dim, self.output, self.radius = in_dim, dim, output, radius
        self.residual, self.blocks = residual, blocks
        self.settings: JSONObject = {
            "in_dim": in_dim,
            "hidden": list(hidden),
            "dim": dim,
            "activation": activation,
            "dropout": (float(dropout[0]), float(dropout[1])),
            "output": output,
            "radius": float(radius),
        }
        # Unused settings are left out, so that older fingerprints and files remain valid.
        if residual:
            self.settings["residual"] = True
        if blocks != 1:
            self.settings["blocks"] = blocks
        self.linear: nn.Linear | None = None
        if linear_dims:
            parts = [part for part, _ in self.linear_parts]
            # A single part is stored as numbers, as in older files.
            self.settings |= {
                "linear_dim": parts if len(parts) > 1 else parts[0],
                "linear_share": shares if len(shares) > 1 else shares[0],
            }
            self.linear = nn.Linear(in_dim, linear_dims, bias=False).requires_grad_(False)
        # The slots of a posterior are not outputs of the last layer.
        widths = [in_dim, *hidden, dim - 2 if output.startswith("posterior") else out_dim]
        self.scaling = InputScaling(in_dim)
        layers: list[nn.Module] = [nn.Dropout(dropout[0])]
        for number, (before, after) in enumerate(pairwise(widths)):
            if number:
                layers += [ACTIVATIONS[activation](), nn.Dropout(dropout[1])]
            is_split = number > 0 and blocks != 1  # all blocks share the input row
            layers.append(
                BlockLinear(before, after, blocks) if is_split else nn.Linear(before, after)
            )
        self.layers = nn.Sequential(*layers)
        if residual:
            for parameter in self.layers[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, in_dim) features to (B, dim) outputs z."""
        scaled = self.scaling(rows)
        last: Tensor = self.layers(scaled)
        if self.residual:
            return rows + last / self.scaling.scale
        match self.output:
            case "sphere":
                parts: Tensor = F.normalize(last.unflatten(1, (self.blocks, -1)), dim=2)
                parts = parts.flatten(1) / self.blocks**0.5
                return self._with_linear(parts, scaled) * self.radius
            case "softmax":
                last = last.softmax(1)
                if self.linear is not None:
                    last = self._with_linear(F.normalize(last), scaled)
            case "tanh":
                return last.tanh()
            case "posterior-0" | "posterior-1":
                posterior = last.softmax(1)
                rest = (1 - posterior.square().sum(1, keepdim=True)).clamp_min(1e-12).sqrt()
                slots = (rest, torch.zeros_like(rest))
                return torch.cat(
                    [posterior, *(slots if self.output[-1] == "0" else slots[::-1])], 1
                )
        return last

    def _with_linear(self, unit_rows: Tensor, scaled: Tensor) -> Tensor:
        if self.linear is None:
            return unit_rows
        dims, shares = zip(*self.linear_parts, strict=True)
        parts = self.linear(scaled).split(list(dims), 1)
        linear = [F.normalize(part) * share**0.5 for part, share in zip(parts, shares, strict=True)]
        return torch.cat([unit_rows * (1 - sum(shares)) ** 0.5, *linear], 1)

    def projection(self) -> Projection:
        """Return a NumPy copy of the current state, which later training does not change."""
        arrays = {
            name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()
        }
        return Projection(self.settings, arrays)

    @torch.inference_mode()
    def embed(self, rows: FloatArray) -> FloatArray:
        """Map (N, in_dim) features to (N, dim) float32 unit vectors of the common space.

        Dropout is always off. On the CPU the result is bit-identical to `projection().embed`.
        """
        if self.scaling.mean.device.type == "cpu":
            return self.projection().embed(rows)
        training = self.training
        self.eval()
        try:
            placed = torch.from_numpy(rows).to(self.scaling.mean.device)
            unit: FloatArray = F.normalize(self(placed)).cpu().numpy()
        finally:
            self.train(training)
        return unit
