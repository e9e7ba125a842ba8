"""Whether parameters fit where others of the same model are loaded, and where they do not."""

from collections.abc import Mapping
from typing import Any

from tidegate.domain.messages import Message, say
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.version import Manifest, Structure, TensorInfo

#: Differences of one kind that are spelled out; the rest are counted.
_FEW = 5
#: What a file says of itself is no part of the structure that parameters load into.
_NOT_STRUCTURE = frozenset({"metadata"})


def differences(was: Manifest, now: Manifest) -> list[Message]:
    """What a program that loads ``was`` would stumble over in ``now``; empty where it fits.

    Adapter, architecture, the columns the transform reads, library ranges, and the names, dtypes
    and shapes of the tensors. Their values are of no concern.
    """
    old, new = was.structure, now.structure
    found = []
    if old.adapter != new.adapter:
        found.append(say("adapter {was} became {now}", was=old.adapter, now=new.adapter))
    found += _keys(old.architecture, new.architecture)
    found += _columns(old.transform, new.transform)
    for library in sorted(old.libraries.keys() | new.libraries.keys()):
        before, after = (
            libraries.get(library, "-") for libraries in (old.libraries, new.libraries)
        )
        if before != after:
            found.append(
                say("library {library}: {was} became {now}", library=library, was=before, now=after)
            )
    return found + _tensors(
        {info.name: info for info in was.tensors}, {info.name: info for info in now.tensors}
    )


def undeclared(structure: Structure, spec: ModelSpec) -> list[Message]:
    """What stored parameters are beyond, or against, the model as declared; empty where they fit.

    Adapter, task, classes, and that no column is read which the model file leaves out.
    """
    found = []
    if structure.adapter != spec.adapter:
        found.append(
            say("adapter {was} became {now}", was=spec.adapter, now=structure.adapter),
        )
    told = structure.architecture
    if spec.task is not None and told.get("task", spec.task) != spec.task:
        found.append(say("task {was} became {now}", was=spec.task, now=str(told["task"])))
    classes = told.get("classes")
    count = len(classes) if isinstance(classes, list) else 0
    least, most = _CLASSES.get(spec.task, (0, None))
    if count < least or (most is not None and count > most):
        found.append(say("{count} classes, for the task {task}", count=count, task=str(spec.task)))
    read = sorted(_names(structure.transform) & spec.not_features)
    if read:
        found.append(say("columns that the model file leaves out: {columns}", columns=read))
    return found


#: How few classes a task may have, and how many; None: as many as there are.
_CLASSES: dict[Task | None, tuple[int, int | None]] = {
    Task.BINARY: (2, 2),
    Task.MULTICLASS: (2, None),
    Task.REGRESSION: (0, 0),
}


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Message]:
    changed = [
        key
        for key in sorted((old.keys() | new.keys()) - _NOT_STRUCTURE)
        if old.get(key) != new.get(key)
    ]
    return [say("the architecture differs in {keys}", keys=changed)] if changed else []


def _columns(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Message]:
    before, after = (_names(transform) for transform in (old, new))
    found = []
    if after - before:
        found.append(
            say("columns it did not read before: {columns}", columns=sorted(after - before))
        )
    if before - after:
        found.append(say("columns it no longer reads: {columns}", columns=sorted(before - after)))
    return found


def _names(transform: Mapping[str, Any] | None) -> set[str]:
    """The columns that a stored transform reads: the names in its lists of features."""
    lists = [value for value in (transform or {}).values() if isinstance(value, list)]
    features = [feature for features in lists for feature in features]
    return {str(f["name"]) for f in features if isinstance(f, Mapping) and "name" in f}


def _tensors(old: Mapping[str, TensorInfo], new: Mapping[str, TensorInfo]) -> list[Message]:
    found = []
    missing, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    if missing:
        found.append(
            say("{count} tensor(s) are missing: {names}", count=len(missing), names=_few(missing))
        )
    if added:
        found.append(say("{count} tensor(s) are new: {names}", count=len(added), names=_few(added)))
    odd = [
        say(
            "tensor '{tensor}': {was} became {now}",
            tensor=name,
            was=_form(old[name]),
            now=_form(new[name]),
        )
        for name in sorted(old.keys() & new.keys())
        if _form(old[name]) != _form(new[name])
    ]
    if len(odd) > _FEW:
        odd[_FEW:] = [say("and {count} more like these", count=len(odd) - _FEW)]
    return found + odd


def _few(names: list[str]) -> list[str | Message]:
    """The first names, and how many more there are."""
    left = len(names) - _FEW
    return [*names[:_FEW], say("and {count} more", count=left)] if left > 0 else [*names]


def _form(info: TensorInfo) -> str:
    return f"{info.dtype} {info.shape}"
