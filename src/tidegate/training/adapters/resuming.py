"""Where a training stands, kept as arrays, and gone on from to the same bits."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from tidegate.training.state import Saved

Tensors = dict[str, torch.Tensor]


def standing(
    module: nn.Module,
    best: Tensors,
    optimiser: torch.optim.Optimizer,
    random: torch.Generator,
    curve: list[float],
) -> Saved:
    """All that the next epochs depend on."""
    arrays = {f"module.{name}": _array(value) for name, value in module.state_dict().items()}
    arrays |= {f"best.{name}": _array(value) for name, value in best.items()}
    for place, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                arrays[f"optimiser.{place}.{name}"] = _array(value)
    arrays["random.order"] = _array(random.get_state())
    arrays["random.torch"] = _array(torch.get_rng_state())
    return Saved(arrays, {"curve": curve})


def gone_on(
    held: Saved, module: nn.Module, optimiser: torch.optim.Optimizer, random: torch.Generator
) -> tuple[list[float], Tensors]:
    """Curve and best values so far; everything else is put back where it was.

    What does not fit, as of a file that was altered, changes nothing: training begins again.
    """
    before = {name: value.clone() for name, value in module.state_dict().items()}
    states = optimiser.state_dict(), random.get_state(), torch.get_rng_state()
    try:
        return _put_back(held, module, optimiser, random)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError):
        module.load_state_dict(before)
        optimiser.load_state_dict(states[0])
        random.set_state(states[1])
        torch.set_rng_state(states[2])
        return [], {}


def _put_back(
    held: Saved, module: nn.Module, optimiser: torch.optim.Optimizer, random: torch.Generator
) -> tuple[list[float], Tensors]:

    def of(prefix: str) -> Tensors:
        return {
            name.removeprefix(prefix): torch.from_numpy(np.array(array))
            for name, array in held.arrays.items()
            if name.startswith(prefix)
        }

    curve = [float(loss) for loss in held.facts["curve"]]
    best = of("best.")
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    if not all(map(math.isfinite, curve)) or (
        best and {name: value.shape for name, value in best.items()} != shapes
    ):
        raise ValueError("the best values, or the curve, cannot be of this training")
    module.load_state_dict(of("module."))
    states: dict[int, Tensors] = {}
    for name, value in of("optimiser.").items():
        place, field_name = name.split(".", 1)
        states.setdefault(int(place), {})[field_name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
    random.set_state(of("random.")["order"])
    torch.set_rng_state(of("random.")["torch"])
    device = next(module.parameters()).device
    return curve, {name: value.to(device) for name, value in best.items()}


def _array(value: torch.Tensor) -> Any:
    return np.array(value.detach().cpu().numpy())
