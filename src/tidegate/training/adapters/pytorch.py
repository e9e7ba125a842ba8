"""PyTorch: any module that an importable function makes, in groups of its own tensors."""

from typing import Any

import numpy as np
import torch
from torch import nn

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters import lora
from tidegate.training.adapters.descent import Anchor, Descent, descend, repeatable
from tidegate.training.adapters.fisher import fisher
from tidegate.training.adapters.torch_modules import (
    TARGET,
    TARGETS,
    built,
    check_answers,
    grouped,
    grown,
    restored,
)
from tidegate.training.base import CLASSIFICATION, REGRESSION, BaseAdapter
from tidegate.training.labels import class_predictions
from tidegate.training.nearest import known_or_refuse
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

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
            module = built(architecture)
            groups = dict(parent.groups) if parent else {}
            if not groups or lora.GROUP not in groups:
                groups |= grouped(module, job.patterns, known=groups)
            for group in settings["group_learning_rates"]:
                known_or_refuse(group, groups, "group_learning_rates names no group '{name}'")
            fresh = {n: v.clone() for n, v in module.state_dict().items()}
            moving = self._moving(job, groups)
            start = {} if parent is None else restored(parent, fresh, self.name, may_grow=True)
            start |= grown(parent, fresh, {n for g in moving for n in groups[g]})
            anew = {n for g in job.key_groups for n in groups.get(g, [])}
            begin = {n: start[n] if n in start and n not in anew else fresh[n] for n in fresh}
            module.load_state_dict(begin)
            module.to(device)
            scale = _scale(rows, parent)
            y = _targets(rows, scale).to(device)
            x = _features(rows.x).to(device)
            check_answers(module, x[:2], architecture)
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
            groups[TARGET] = list(TARGETS)
        return Fitted(
            State(architecture, tensors, groups), run.curve, run.converged, notes=run.notes
        )

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        with repeatable(0):
            module = built(state.architecture)
        fresh = module.state_dict()
        missing = sorted(set(fresh) - set(state.tensors))
        for name in missing[:1]:
            self.shape(state, name, *fresh[name].shape)  # says what is missing
        module.load_state_dict({**fresh, **restored(state, fresh, self.name)})
        module.eval()
        classes = state.architecture.get("classes")
        if classes is not None:
            return lambda x: class_predictions(classes, _shares(_outputs(module, x)))
        mean, scale = (float(self.shape(state, name)) for name in TARGETS)
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
