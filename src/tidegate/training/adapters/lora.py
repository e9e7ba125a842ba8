"""Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) on the linear layers of a module.

A layer keeps its names and values; beside them stand ``lora_a`` and ``lora_b``, whose product is
added to what the layer gives. ``lora_b`` begins as zeros, so that nothing changes before training.
"""

import math
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from tidegate.domain.errors import WrongUsage

GROUP = "lora"
_NAMES = ("lora_a", "lora_b")


def is_adapter(name: str) -> bool:
    """Whether a tensor of that name belongs to an adapter."""
    return name.rsplit(".", 1)[-1] in _NAMES


def add_adapters(module: nn.Module, rank: int, alpha: float, targets: list[str]) -> None:
    """Adapters of ``rank``, scaled by alpha / rank, on every linear layer that a pattern fits.

    Raises WrongUsage where none does.
    """
    fitting = [
        layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and any(fnmatchcase(name, target) for target in targets)
    ]
    if not fitting:
        raise WrongUsage(
            "no linear layer of the module fits the LoRA targets {targets}",
            do="name some of: {layers}",
            targets=targets,
            layers=[n for n, layer in module.named_modules() if isinstance(layer, nn.Linear)][:20],
        )
    for layer in fitting:
        like = {"dtype": layer.weight.dtype, "device": layer.weight.device}
        layer.lora_a = nn.Parameter(torch.empty(rank, layer.in_features, **like))
        layer.lora_b = nn.Parameter(torch.zeros(layer.out_features, rank, **like))
        nn.init.kaiming_uniform_(layer.lora_a, a=math.sqrt(5))
        layer.register_forward_hook(_Added(alpha / rank))


class _Added:
    def __init__(self, scale: float):
        self._scale = scale

    def __call__(self, layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        return output + (inputs[0] @ layer.lora_a.T) @ layer.lora_b.T * self._scale
