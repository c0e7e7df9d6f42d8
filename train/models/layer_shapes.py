"""Layer-wise scaling: how many heads and FFN units each layer has.

In: a width and two pairs of multipliers. Out: one LayerShape a layer.
Shown by: `python -m pytest tests/train/models/test_layerwise.py`.
Limit: multipliers run linearly from the first layer to the last, rounded to hundredths, as
OpenELM's code has it (arXiv:2404.14619 §2.1; corenet, `general_gpt.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What differs between layers."""

    heads: int
    key_heads: int
    ffn: int


def layer_shapes(
    layers: int,
    width: int,
    head_dim: int,
    head_multipliers: Sequence[float] = (0.5, 1.0),
    ffn_multipliers: Sequence[float] = (0.5, 4.0),
    group: int = 4,  # query heads that share a key head
    ffn_divisor: int = 256,
) -> list[LayerShape]:
    """Shapes from the first layer to the last."""
    found = []
    for heads, ffn in zip(
        _line(head_multipliers, layers), _line(ffn_multipliers, layers), strict=True
    ):
        several = _divisible(width * heads, head_dim * group) // head_dim
        found.append(LayerShape(several, several // group, _divisible(width * ffn, ffn_divisor)))
    return found


def _line(ends: Sequence[float], layers: int) -> list[float]:
    first, last = ends
    between = max(1, layers - 1)
    return [round(first + (last - first) * n / between, 2) for n in range(layers)]


def _divisible(value: float, divisor: int) -> int:
    """The nearest multiple of `divisor`, at least one of it, at least nine tenths of `value`."""
    found = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * value else found
