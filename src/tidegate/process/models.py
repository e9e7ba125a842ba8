"""Declaring models: reading a model file, telling what is wrong with it, recording a change."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tidegate.domain.errors import NotFound, WrongUsage
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Role
from tidegate.domain.policy import Policy
from tidegate.process.home import Home
from tidegate.training.adapter import adapter
from tidegate.training.search import check_policy


def read_model_file(path: Path) -> ModelSpec:
    """The model that a YAML file declares; raises WrongUsage naming the key that is wrong."""
    try:
        given = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound("there is no file {path}", do="check the name", path=path) from None
    except RecursionError:
        raise WrongUsage(
            "{path} is nested too deeply", do="write a flat model file", path=path
        ) from None
    except UnicodeDecodeError:
        raise WrongUsage("{path} is not UTF-8 text", do="save it as UTF-8", path=path) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise WrongUsage(
            "{path} is not YAML: {problem} (line {line})",
            do="mend that line",
            path=path,
            problem=getattr(error, "problem", "") or "-",
            line=mark.line + 1 if mark else "-",
        ) from None
    return parse_model(given, source=str(path))


def parse_model(given: Any, *, source: str = "model") -> ModelSpec:
    """The model declared by a mapping, its adapter known and its settings checked."""
    if not isinstance(given, dict):
        raise WrongUsage(
            "{source} declares no model", do="write keys like 'model: NAME'", source=source
        )
    if isinstance(given.get("adapter"), str):
        adapter(given["adapter"])  # which keys a model needs is said by its adapter
    try:
        spec = ModelSpec.model_validate(given)
    except ValidationError as error:
        raise _explained(error, source) from None
    how = adapter(spec.adapter)
    if spec.task is not None and spec.trains and spec.task not in how.tasks:
        raise WrongUsage(
            "adapter '{adapter}' does not do the task '{task}'",
            do="it does: {tasks}",
            adapter=spec.adapter,
            task=spec.task,
            tasks=sorted(how.tasks),
        )
    if spec.trains and spec.task is not None:
        check_policy(how, spec.task, spec.policy.training)
    if not how.keeps_missing:
        _refuse_gaps(spec)
    return spec


def _refuse_gaps(spec: ModelSpec) -> None:
    """Raise WrongUsage where a feature would keep missing values that the adapter cannot take."""
    for name, rule in (spec.features or {}).items():
        if rule.missing == "keep":
            raise WrongUsage(
                "features: '{column}' keeps missing values, and adapter '{adapter}' takes none",
                do="say 'missing: median', 'missing: mean' or a number",
                column=name,
                adapter=spec.adapter,
            )


def _explained(error: ValidationError, source: str) -> WrongUsage:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or source
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        known = _keys_at(first["loc"][:-1])
        near = difflib.get_close_matches(key, known, 1, 0.5)
        if near:
            return WrongUsage(
                "{source} has an unknown key '{place}'",
                do="did you mean '{near}'?",
                source=source,
                place=place,
                near=near[0],
            )
        return WrongUsage(
            "{source} has an unknown key '{place}'",
            do="the keys there are: {known}",
            source=source,
            place=place,
            known=known,
        )
    return WrongUsage(
        "{source}: '{place}' cannot be taken: {problem}",
        do="see every key and its meaning with: tidegate model policy",
        source=source,
        place=place,
        problem=first["msg"].removeprefix("Value error, "),
    )


def _keys_at(place: Sequence[int | str]) -> list[str]:
    """The keys that may stand at a place of a model file, in lists and in one of several forms."""
    found: list[type[BaseModel]] = [ModelSpec]
    for part in place:
        if isinstance(part, int):
            continue
        fields = [field for model in found for field in [_field(model, part)] if field]
        if fields:
            found = [model for field in fields for model in _models(field.annotation)]
        else:  # which form it is: a cleaning step by its name
            found = [m for m in found if "step" in m.model_fields and _step(m) == part]
    return [f.alias or name for model in found for name, f in model.model_fields.items()]


def _field(model: type[BaseModel], key: str) -> FieldInfo | None:
    named = {field.alias or name: field for name, field in model.model_fields.items()}
    return named.get(key)


def _step(model: type[BaseModel]) -> Any:
    return model.model_fields["step"].default


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def apply_model(home: Home, spec: ModelSpec) -> tuple[ModelSpec, bool]:
    """The model as recorded, and whether this changed anything."""
    with home.journal.write(home.actor) as tx:
        home.require(tx, Role.ADMIN)
        was = tx.get(ModelSpec, spec.model)
        if was == spec:
            return spec, False
        note = {"changed": _changed(was, spec)} if was else {}
        tx.put(spec, "model.changed" if was else "model.declared", was=was, note=note)
    return spec, True


def _changed(was: ModelSpec, now: ModelSpec) -> list[str]:
    """Names of the top-level keys that differ."""
    before, after = was.model_dump(mode="json"), now.model_dump(mode="json")
    return sorted(key for key in after if before.get(key) != after[key])


def policy_lines() -> list[tuple[str, str, str]]:
    """Every policy key: its name, its default in ``standard``, and why it is so."""
    lines: list[tuple[str, str, str]] = []
    for section, field in Policy.model_fields.items():
        type_ = field.annotation
        if isinstance(type_, type) and issubclass(type_, BaseModel):
            for key, inner in type_.model_fields.items():
                default = inner.get_default(call_default_factory=True)
                shown = say("{value}", value=default).text() if default is not None else "-"
                lines.append((f"{section}.{key}", shown, inner.description or ""))
    return lines
