"""PyTorch: any module that an importable function makes, in groups of its own tensors."""

from typing import Any

import numpy as np
import torch
from torch import nn

from tidegate.domain.errors import DataError, Incompatible, WrongUsage
from tidegate.domain.groups import members
from tidegate.domain.metrics import Task
from tidegate.domain.policy import Range
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.training.adapters import lora
from tidegate.training.adapters.descent import Anchor, Descent, descend, fisher, repeatable
from tidegate.training.base import CLASSIFICATION, REGRESSION, BaseAdapter
from tidegate.training.factory import make
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

#: Modules that only hold others: their children are what a person would call a part.
_HOLDERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Where the scale of a regression's target is kept; frozen unless everything is learned anew.
TARGET = "target"
_TARGETS = ["target.mean", "target.scale"]
#: Rows that answer in one go.
_CHUNK = 65_536
#: Rows that the Fisher information is taken over: one backward pass each.
_FISHER_ROWS = 512


class PyTorch(BaseAdapter):
    """Groups: those that the model file names by pattern, else one for each part of the module.

    With ``lora_rank`` there is a group ``lora`` of low-rank adapters. Incremental: the trainable
    groups move on, the others have no gradient and fixed batch-norm statistics. Hybrid: the key
    groups start anew and learn at the full rate, the others move on at ``tuning_rate`` of it.
    ``pull`` adds the distance from the parent's values to the loss (L2-SP, Li et al. 2018,
    arXiv:1802.01483), each weighed by its Fisher information where policy asks for it.
    """

    name = "torch"
    tasks = CLASSIFICATION | REGRESSION
    pulls = True
    grows = True
    parallel = True
    libraries = {"torch": ">=2.6,<3"}
    passed = {
        "factory": "tidegate.training.modules:mlp", "arguments": {}, "optimiser": "adamw",
        "group_learning_rates": {}, "lora_targets": ["*"], "device": "auto",
    }  # fmt: skip
    own = {
        "epochs": (50, 1, 1_000_000), "update_epochs": (10, 1, 1_000_000),
        "batch_rows": (128, 1, 10_000_000), "learning_rate": (1e-3, 0.0, 1e3),
        "tuning_rate": (0.1, 0.0, 1.0), "weight_decay": (0.01, 0.0, 1e3),
        "momentum": (0.9, 0.0, 1.0), "clip_norm": (1.0, 0.0, 1e9),
        "validation_share": (0.1, 0.0, 0.5), "patience": (10, 1, 1_000_000),
        "lora_rank": (0, 0, 4096), "lora_alpha": (8.0, 0.0, 1e6),
    }  # fmt: skip
    structural = frozenset({"factory", "arguments"})
    searched = {
        "learning_rate": Range(low=1e-4, high=1e-1, log=True),
        "weight_decay": Range(low=1e-5, high=1.0, log=True),
    }

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        super().check_settings(task, settings)
        for name, known in _CHOICES.items():
            if settings.get(name, self.passed[name]) not in known:
                raise WrongUsage(
                    "setting '{name}' cannot be {value}",
                    do="use one of {known}",
                    name=name,
                    value=repr(settings[name]),
                    known=list(known),
                )
        rates = settings.get("group_learning_rates", {})
        kinds = {"arguments": dict, "group_learning_rates": dict, "lora_targets": list}
        wrong = [n for n, kind in kinds.items() if not isinstance(settings.get(n, kind()), kind)]
        if not wrong and not all(isinstance(r, (int, float)) and r >= 0 for r in rates.values()):
            wrong = ["group_learning_rates"]
        if wrong:
            raise WrongUsage(
                "setting '{name}' cannot be {value}",
                do="arguments maps names to values, group_learning_rates groups to rates, "
                "lora_targets lists patterns of layer names",
                name=wrong[0],
                value=repr(settings[wrong[0]]),
            )

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """The low-rank adapters where there are any, or will be; else the module's last part."""
        names = self._parts(state)
        return [lora.GROUP] if settings["lora_rank"] or lora.GROUP in names else names[-1:]

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The last part of the module."""
        return [name for name in self._parts(state) if name != lora.GROUP][-1:]

    def _parts(self, state: State | None) -> list[str]:
        return [name for name in self.group_names(Task.BINARY, state) if name != TARGET]

    def blended(self, state: State) -> list[str]:
        """All groups of the module."""
        return self._parts(state)

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        settings, device = job.settings, _device(job.settings["device"])
        architecture = self._architecture(rows, job)
        parent = None if job.strategy is Strategy.FULL else self.parent_of(job)
        with repeatable(job.seed):
            module = _module(architecture)
            groups = dict(parent.groups) if parent else {}
            if not groups or lora.GROUP not in groups:
                groups |= _groups(module, job.patterns, known=groups)
            fresh = {n: v.clone() for n, v in module.state_dict().items()}
            moving = self._moving(job, groups)
            start = {} if parent is None else _restored(parent, fresh, self.name, may_grow=True)
            start |= _grown(parent, fresh, {n for g in moving for n in groups[g]})
            anew = {n for g in job.key_groups for n in groups.get(g, [])}
            begin = {n: start[n] if n in start and n not in anew else fresh[n] for n in fresh}
            module.load_state_dict(begin)
            module.to(device)
            scale = _scale(rows, parent)
            y = _targets(rows, scale).to(device)
            x = _features(rows.x).to(device)
            how = Descent(
                groups=groups,
                rates={group: self._rate(group, job) for group in moving},
                epochs=settings["epochs" if job.strategy is Strategy.FULL else "update_epochs"],
                batch_rows=settings["batch_rows"],
                optimiser=settings["optimiser"],
                weight_decay=settings["weight_decay"],
                momentum=settings["momentum"],
                clip_norm=settings["clip_norm"],
                validation_share=settings["validation_share"],
                patience=settings["patience"],
                seed=job.seed,
                anchor=self._anchor(module, job, groups, anew, moving),
                limit=job.limit if parent else None,
                start={name: start[name].to(device) for name in start if name not in anew},
            )
            loss = nn.functional.mse_loss if rows.classes is None else nn.functional.cross_entropy
            run = descend(module, x, y, loss, how, job.progress, job.checkpoint)
        tensors = {name: _array(value) for name, value in module.state_dict().items()}
        if rows.classes is None:
            tensors |= {"target.mean": scale[0], "target.scale": scale[1]}
            groups[TARGET] = list(_TARGETS)
        return Fitted(
            State(architecture, tensors, groups), run.curve, run.converged, notes=run.notes
        )

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        with repeatable(0):
            module = _module(state.architecture)
        fresh = module.state_dict()
        missing = sorted(set(fresh) - set(state.tensors))
        for name in missing[:1]:
            self.shape(state, name, *fresh[name].shape)  # says what is missing
        module.load_state_dict({**fresh, **_restored(state, fresh, self.name)})
        module.eval()
        classes = state.architecture.get("classes")
        if classes is not None:
            return lambda x: class_predictions(classes, _shares(_outputs(module, x)))
        mean, scale = (float(self.shape(state, name)) for name in _TARGETS)
        return lambda x: Predictions(values=_outputs(module, x)[:, 0] * scale + mean)

    def _architecture(self, rows: Rows, job: Job) -> dict[str, Any]:
        """As for every adapter; low-rank adapters can join a version that has none."""
        made = self.architecture(rows, job)
        if rows.classes is not None:
            made["classes"] = list(rows.classes)  # the parent's, and any that have come since
        wanted = {name: job.settings[name] for name in ("lora_rank", "lora_alpha", "lora_targets")}
        has = made.get("lora_rank", 0)
        if has and wanted["lora_rank"] not in (0, has):
            raise WrongUsage(
                "the parent version has {name} = {kept}, the settings ask for {asked}",
                do="use a full update, which builds a new structure, or set it back",
                name="lora_rank",
                kept=has,
                asked=wanted["lora_rank"],
            )
        return made if has else {**made, **wanted} if wanted["lora_rank"] else made

    def _moving(self, job: Job, groups: dict[str, list[str]]) -> list[str]:
        if job.strategy is Strategy.INCREMENTAL:
            return [group for group in job.trainable_groups if group != TARGET]
        # Beside values that all learn from the start, low-rank adapters have nothing to add.
        still = {TARGET, lora.GROUP} if job.strategy is Strategy.FULL else {TARGET}
        return [group for group in groups if group not in still]

    def _rate(self, group: str, job: Job) -> float:
        """The learning rate of a group: its own, or the common one; less where it only moves on."""
        named = job.settings["group_learning_rates"]
        if group in named:
            return float(named[group])
        rate = float(job.settings["learning_rate"])
        tuned = job.strategy is Strategy.HYBRID and group not in job.key_groups
        return rate * float(job.settings["tuning_rate"]) if tuned else rate

    def _anchor(
        self,
        module: nn.Module,
        job: Job,
        groups: dict[str, list[str]],
        anew: set[str],
        moving: list[str],
    ) -> Anchor | None:
        """What the moving values are pulled to: where they begin, unless they begin anew."""
        if not job.pull or job.parent is None:
            return None
        pulled = [n for group in moving for n in groups[group] if n not in anew]
        values = {n: p.detach().clone() for n, p in module.named_parameters() if n in pulled}
        weights: dict[str, torch.Tensor | float] = dict.fromkeys(values, job.pull)
        if job.fisher and job.remembered is not None:
            device = next(module.parameters()).device
            x = _features(job.remembered[:_FISHER_ROWS]).to(device)
            classes = job.task is not Task.REGRESSION
            found = fisher(module, x, list(values), classes=classes, seed=job.seed)
            weights = {name: job.pull * found[name] for name in values}
        return Anchor(values, weights)


_CHOICES = {"optimiser": ("adamw", "sgd"), "device": ("auto", "cpu", "cuda")}


def _device(asked: str) -> torch.device:
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise WrongUsage(
            "setting 'device' asks for a GPU, and torch sees none",
            do="set device to auto or cpu, or install drivers and a torch that sees it",
        )
    return torch.device(asked)


def _module(architecture: dict[str, Any]) -> nn.Module:
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


_DTYPES = {
    torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool,
}  # fmt: skip


def _groups(
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


def _restored(
    state: State, like: dict[str, torch.Tensor], adapter: str, *, may_grow: bool = False
) -> dict[str, torch.Tensor]:
    """The stored tensors of a module; raises Incompatible where one does not fit."""
    found = {}
    for name, array in state.tensors.items():
        wanted = like.get(name)
        if name in _TARGETS or (may_grow and wanted is not None and _longer(wanted, array)):
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


def _grown(
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


def _scale(rows: Rows, parent: State | None) -> tuple[Array, Array]:
    """Mean and spread of a regression's target: the parent's, or those of the rows."""
    if parent is not None and TARGET in parent.groups:
        return parent.tensors["target.mean"], parent.tensors["target.scale"]
    spread = float(np.std(rows.y)) if rows.classes is None else 1.0
    mean = float(np.mean(rows.y)) if rows.classes is None else 0.0
    return np.asarray(mean), np.asarray(spread if spread > 0 else 1.0)


def _targets(rows: Rows, scale: tuple[Array, Array]) -> torch.Tensor:
    if rows.classes is not None:
        return torch.from_numpy(np.array(rows.y, dtype=np.int64))
    return torch.from_numpy(((rows.y - scale[0]) / scale[1]).astype(np.float32))[:, None]


def _features(x: Floats) -> torch.Tensor:
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
    if not np.isfinite(single).all():
        raise DataError(
            "a feature value is too large for 32-bit numbers",
            do="bring the features into a common range",
        )
    return torch.from_numpy(single)


def _array(value: torch.Tensor) -> Array:
    return np.array(value.detach().cpu().numpy())


@torch.inference_mode()
def _outputs(module: nn.Module, x: Floats) -> Floats:
    parts = [
        module(_features(x[at : at + _CHUNK])).to(torch.float64).numpy()
        for at in range(0, len(x), _CHUNK)
    ]
    return np.concatenate(parts)


def _shares(outputs: Floats) -> Floats:
    raised = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
