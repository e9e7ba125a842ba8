"""Gradient descent on a module: some groups move, each at its own rate; the rest stands still."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from tidegate.domain.errors import DataError
from tidegate.domain.messages import Message, say
from tidegate.training.adapters.resuming import gone_on, standing
from tidegate.training.state import Checkpoint, Progress

Tensors = Mapping[str, torch.Tensor]

#: Rows in one go where nothing is learned from them.
_CHUNK = 65_536
#: Seconds between checkpoints: what a killed run loses at the most.
_EVERY = 20.0
#: A step that is shortened to its limit must not be above it by rounding.
_BELOW = 1 - 1e-6


@dataclass(frozen=True)
class Anchor:
    """Values to be pulled to, and how strongly each: one weight for all, or one a value."""

    values: Tensors
    weights: Mapping[str, torch.Tensor | float]


@dataclass(frozen=True)
class Descent:
    """How to move: ``rates`` gives the learning rate of each group that moves.

    ``groups``: the tensors of each group, by name. ``limit``: how far a group may go from
    ``start``, as a share of its size there (projected back after every step).
    """

    groups: Mapping[str, list[str]]
    rates: Mapping[str, float]
    epochs: int
    batch_rows: int
    optimiser: str
    weight_decay: float
    momentum: float
    clip_norm: float
    validation_share: float
    patience: int
    seed: int
    anchor: Anchor | None = None
    limit: float | None = None
    start: Tensors = field(default_factory=dict)


@dataclass
class Run:
    """How it went: ``curve`` is the loss after each epoch, on rows kept aside where some are."""

    curve: list[float]
    converged: bool
    notes: list[Message]


def descend(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    loss: Any,
    how: Descent,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> Run:
    """Move ``module`` in place; the best epoch stands where rows are kept aside to tell.

    ``x``: ``(n_rows, n_features)``, ``y``: ``(n_rows,)`` targets that ``loss`` takes. What a
    ``checkpoint`` holds is gone on from, to the same bits as without a stop. Raises DataError as
    soon as the loss is not finite.
    """
    moving = [name for group in how.rates for name in how.groups[group]]
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in moving)
    optimiser = _optimiser(parameters, how)
    random = torch.Generator().manual_seed(how.seed)
    order = torch.randperm(len(x), generator=random)
    aside = round(len(x) * how.validation_share) if len(x) >= 50 else 0
    kept, learned = order[:aside], order[aside:]
    curve: list[float] = []
    best: dict[str, torch.Tensor] = {}
    held = checkpoint.load() if checkpoint is not None else None
    if held is not None:
        curve, best = gone_on(held, module, optimiser, random)
    saved_at = time.monotonic()
    for epoch in range(len(curve), how.epochs):
        if aside and _waited(curve, how.patience):
            break
        _learning(module, set(moving))
        dealt = learned[torch.randperm(len(learned), generator=random)]
        total = 0.0
        for at in range(0, len(dealt), how.batch_rows):
            rows = dealt[at : at + how.batch_rows].to(x.device)
            if len(rows) == 1 and len(dealt) > 1:
                continue  # batch statistics of one row say nothing
            total += _step(module, parameters, optimiser, loss, x[rows], y[rows], how) * len(rows)
        _refuse_not_finite(total, epoch)
        _agree(module)
        if how.limit is not None:
            _shorten(module.state_dict(), how)  # statistics of batch norms move without a step
        now = _loss_of(module, x, y, loss, kept) if aside else total / len(dealt)
        _refuse_not_finite(now, epoch)
        curve.append(now)
        if aside and now <= min(curve):
            best = {name: value.clone() for name, value in module.state_dict().items()}
        if checkpoint is not None and time.monotonic() - saved_at > _EVERY:
            checkpoint.save(standing(module, best, optimiser, random, curve))
            saved_at = time.monotonic()
        progress(epoch + 1, how.epochs)
    progress(how.epochs, how.epochs)
    if best:
        module.load_state_dict(best)
    stopped = len(curve) < how.epochs
    notes = [say("stopped after {epochs} epochs, since the loss no longer fell", epochs=len(curve))]
    return Run(curve, True, notes if stopped else [])


def _waited(curve: list[float], patience: int) -> bool:
    """Whether so many epochs have passed since the best one."""
    return bool(curve) and len(curve) - 1 - curve.index(min(curve)) >= patience


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Random numbers from ``seed``, and kernels that give the same bits every time."""
    before = torch.are_deterministic_algorithms_enabled()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def _optimiser(parameters: Mapping[str, nn.Parameter], how: Descent) -> torch.optim.Optimizer:
    sets = []
    pulled = how.anchor.values if how.anchor is not None else {}
    for group, rate in how.rates.items():
        mine = [name for name in how.groups[group] if name in parameters]
        # Where values are pulled to the parent's, decay would pull them to zero as well.
        for decayed in (False, True):
            chosen = [parameters[name] for name in mine if (name not in pulled) is decayed]
            decay = how.weight_decay if decayed else 0.0
            if chosen:
                sets.append({"params": chosen, "lr": rate, "weight_decay": decay})
    if how.optimiser == "sgd":
        return torch.optim.SGD(sets, lr=1e-3, momentum=how.momentum)
    return torch.optim.AdamW(sets, lr=1e-3)


def _learning(module: nn.Module, moving: set[str]) -> None:
    """Training mode, but for modules whose own tensors all stand still, batch norms above all."""
    module.train()
    for path, part in module.named_modules():
        own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        names = {f"{path}.{name}" if path else name for name, _ in own}
        if names and not names & moving:
            part.training = False


def _step(
    module: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    loss: Any,
    x: torch.Tensor,
    y: torch.Tensor,
    how: Descent,
) -> float:
    optimiser.zero_grad(set_to_none=True)
    value = _together(module, parameters, loss, x, y)
    if how.anchor is not None:
        for name, anchor in how.anchor.values.items():
            parameter = parameters.get(name)
            if parameter is not None and parameter.grad is not None:
                away = parameter.detach() - anchor
                parameter.grad += how.anchor.weights[name] * away
    if how.clip_norm:
        moved = [parameter for parameter in parameters.values() if parameter.grad is not None]
        nn.utils.clip_grad_norm_(moved, how.clip_norm)
    optimiser.step()
    if how.limit is not None:
        _shorten(parameters, how)
    return float(value)


def _together(
    module: nn.Module, parameters: Mapping[str, nn.Parameter], loss: Any, x: torch.Tensor,
    y: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """The mean loss of a batch, and its gradients in the parameters.

    In a process group each worker takes every so-manieth row, and all hold the sum after.
    """
    workers = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    if workers == 1:
        value = loss(module(x), y)
        value.backward()
        return value.detach()
    mine = slice(dist.get_rank(), None, workers)
    moving = {id(p): p for p in parameters.values() if p.requires_grad}
    value = torch.zeros((), device=x.device)
    if len(x[mine]):
        value = loss(module(x[mine]), y[mine]) * (len(x[mine]) / len(x))
        value.backward()
    for parameter in moving.values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
    value = value.detach()
    dist.all_reduce(value)
    return value


@torch.no_grad()
def _agree(module: nn.Module) -> None:
    """Statistics that each worker of a process group took of its own rows, as their mean."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    for buffer in module.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer /= dist.get_world_size()


@torch.no_grad()
def _shorten(tensors: Mapping[str, torch.Tensor], how: Descent) -> None:
    """Bring groups that went further than the limit back to it, on the line to where they began."""
    assert how.limit is not None  # noqa: S101 - the callers looked
    for group in how.rates:
        names = [n for n in how.groups[group] if n in tensors and n in how.start]
        names = [n for n in names if tensors[n].is_floating_point()]
        size = sum(float((how.start[n].double() ** 2).sum()) for n in names) ** 0.5
        away = sum(float(((tensors[n] - how.start[n]).double() ** 2).sum()) for n in names) ** 0.5
        if size > 0 and away > how.limit * size:
            share = how.limit * size / away * _BELOW
            for name in names:
                start = how.start[name]
                tensors[name].copy_(start + (tensors[name] - start) * share)


@torch.no_grad()
def _loss_of(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Any, rows: torch.Tensor
) -> float:
    module.eval()
    total = 0.0
    for at in range(0, len(rows), _CHUNK):
        part = rows[at : at + _CHUNK].to(x.device)
        total += float(loss(module(x[part]), y[part])) * len(part)
    return total / len(rows)


def _refuse_not_finite(value: float, epoch: int) -> None:
    if value == value and abs(value) != float("inf"):
        return
    raise DataError(
        "the loss became {value} in epoch {epoch}, and training stopped",
        do="lower the learning rate, clip gradients, or look for extreme feature values",
        value=str(value),
        epoch=epoch + 1,
    )
