"""Modules of PyTorch: made by a factory, put in groups, filled with what is stored."""

from typing import Any

import numpy as np
import torch
from torch import nn

from tidegate.domain.errors import Incompatible, WrongUsage
from tidegate.domain.groups import members
from tidegate.training.adapters import lora
from tidegate.training.factory import make
from tidegate.training.state import Array, State

#: Modules that only hold others: their children are what a person would call a part.
_HOLDERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Where the scale of a regression's target is kept; frozen unless everything is learned anew.
TARGET = "target"
TARGETS = ["target.mean", "target.scale"]


def built(architecture: dict[str, Any]) -> nn.Module:
    """A new module, with values from torch's current seed."""
    outputs = len(architecture["classes"]) if "classes" in architecture else 1
    name = architecture["factory"]
    module = make(
        name, architecture["arguments"], n_features=architecture["n_features"], n_outputs=outputs
    )
    if not isinstance(module, nn.Module):
        raise WrongUsage(
            "the factory '{name}' returned {kind}, and no torch.nn.Module",
            do="return the module",
            name=name,
            kind=type(module).__name__,
        )
    if architecture.get("lora_rank"):
        lora.add_adapters(module, architecture["lora_rank"], architecture["lora_alpha"],
                          architecture["lora_targets"])  # fmt: skip
    for tensor, value in module.state_dict().items():
        if value.dtype not in _DTYPES:
            raise WrongUsage(
                "tensor '{tensor}' of the module has the dtype {dtype}, which is not trained here",
                do="use float32, float64, float16 or whole numbers",
                tensor=tensor,
                dtype=str(value.dtype),
            )
    return module


def check_answers(module: nn.Module, x: torch.Tensor, architecture: dict[str, Any]) -> None:
    """Raise WrongUsage where the module cannot answer rows ``x``, or with another shape than one
    number for each class, or one in a regression."""
    name, outputs = architecture["factory"], len(architecture.get("classes", [0]))
    module.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            said = module(x)
    except Exception as error:  # whatever it is, it is the user's to mend
        raise WrongUsage(
            "the module of '{name}' cannot answer rows of {features} features: {kind}: {problem}",
            do="mend its forward: the factory is told n_features and n_outputs",
            name=name,
            features=x.shape[1],
            kind=type(error).__name__,
            problem=str(error)[:500],
        ) from error
    finally:
        module.train()
    found = list(said.shape) if isinstance(said, torch.Tensor) else type(said).__name__
    if found != [len(x), outputs]:
        raise WrongUsage(
            "the module of '{name}' answers {rows} rows with {found}, and not with the shape "
            "[{rows}, {outputs}]",
            do="return one number a row for each class (before softmax), or one in a regression",
            name=name,
            rows=len(x),
            found=str(found),
            outputs=outputs,
        )


_DTYPES = {
    torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool,
}  # fmt: skip


def grouped(
    module: nn.Module, patterns: dict[str, str], known: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Every tensor of the module in one group; those that stand in ``known`` groups stay there."""
    placed = {name for names in known.values() for name in names}
    names = [name for name in module.state_dict() if name not in placed]
    adapters = [name for name in names if lora.is_adapter(name)]
    base = [name for name in names if not lora.is_adapter(name)]
    if patterns and base:
        made = members(patterns, base)
        empty = [group for group, taken in made.items() if not taken]
        if empty:
            raise WrongUsage(
                "group '{group}' takes no tensor of the module: nothing fits {pattern}",
                do="mend the pattern in the model file; the tensors are: {names}",
                group=empty[0],
                pattern=patterns[empty[0]],
                names=base[:20],
            )
    else:
        made = {}
        for name in base:
            made.setdefault(_part(module, name), []).append(name)
    if adapters:
        made[lora.GROUP] = adapters
    _refuse_tied(module, made)
    return made


def _part(module: nn.Module, name: str) -> str:
    """The part of the module that a tensor belongs to: a child, or what a holder of parts holds."""
    path = name.split(".")
    part, at = module, 0
    while at < len(path) - 1:
        part, at = getattr(part, path[at]), at + 1
        if not isinstance(part, _HOLDERS):
            break
    return ".".join(path[:at]) or "root"


def _refuse_tied(module: nn.Module, groups: dict[str, list[str]]) -> None:
    """Raise WrongUsage where two groups share one tensor: one could not move without the other."""
    group_of = {name: group for group, names in groups.items() for name in names}
    owners: dict[int, str] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        first = owners.setdefault(id(value), name)
        if group_of.get(first) != group_of.get(name):
            raise WrongUsage(
                "'{first}' and '{second}' are one tensor, and stand in two groups",
                do="put both into one group with a pattern in the model file",
                first=first,
                second=name,
            )


def restored(
    state: State, like: dict[str, torch.Tensor], adapter: str, *, may_grow: bool = False
) -> dict[str, torch.Tensor]:
    """The stored tensors of a module; raises Incompatible where one does not fit."""
    found = {}
    for name, array in state.tensors.items():
        wanted = like.get(name)
        if name in TARGETS or (may_grow and wanted is not None and _longer(wanted, array)):
            continue
        if wanted is None or list(wanted.shape) != list(array.shape):
            raise Incompatible(
                "adapter '{adapter}' needs a tensor '{name}' of shape {wanted}, and has {found}",
                do="load the version that this architecture belongs to",
                adapter=adapter,
                name=name,
                wanted="none" if wanted is None else str(list(wanted.shape)),
                found=str(list(array.shape)),
            )
        found[name] = torch.from_numpy(np.array(array)).to(wanted.dtype)
    return found


def grown(
    parent: State | None, fresh: dict[str, torch.Tensor], moving: set[str]
) -> dict[str, torch.Tensor]:
    """Tensors that are longer than the parent's, since there are more classes: its values first."""
    found = {}
    for name, array in parent.tensors.items() if parent is not None else ():
        wanted = fresh.get(name)
        if wanted is None or not _longer(wanted, array):
            continue
        if name not in moving:
            raise WrongUsage(
                "there are new classes, and tensor '{name}' would have to grow and is frozen",
                do="let its group move (trainable_groups), or use a full update",
                name=name,
            )
        found[name] = wanted.clone()
        found[name][: len(array)] = torch.from_numpy(np.array(array)).to(wanted.dtype)
    return found


def _longer(wanted: torch.Tensor, array: Array) -> bool:
    same = array.ndim > 0 and list(wanted.shape[1:]) == list(array.shape[1:])
    return same and wanted.ndim == array.ndim and wanted.shape[0] > array.shape[0]
