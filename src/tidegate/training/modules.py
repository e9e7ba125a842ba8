"""Modules for PyTorch that need no code of one's own: what the default factory makes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn


class Mlp(nn.Module):
    """A perceptron with rectified units; its groups are ``hidden.0``, ... and ``head``."""

    def __init__(self, widths: Sequence[int], dropout: float):
        super().__init__()
        *layers, head = [nn.Linear(before, after) for before, after in pairwise(widths)]
        self.hidden = nn.ModuleList(layers)
        self.head = head
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Any) -> Any:
        """Outputs ``(n_rows, n_outputs)`` of features ``(n_rows, n_features)``."""
        for layer in self.hidden:
            x = self.dropout(torch.relu(layer(x)))
        return self.head(x)


def mlp(
    *, n_features: int, n_outputs: int, hidden: Sequence[int] = (64, 64), dropout: float = 0.0
) -> Mlp:
    """A perceptron with ``hidden`` layers of so many units; ``dropout`` is a share, 0 to 1."""
    return Mlp([n_features, *hidden, n_outputs], dropout)
