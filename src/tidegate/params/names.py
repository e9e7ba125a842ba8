"""Tensors picked by name."""

from collections.abc import Iterable
from difflib import get_close_matches

from tidegate.domain.errors import NotFound
from tidegate.domain.version import Manifest, TensorInfo


def pick(manifest: Manifest, names: Iterable[str] | None) -> list[TensorInfo]:
    """The named tensors in the manifest's order, each once; all of them where ``names`` is None.

    Raises NotFound, with the nearest names, for a tensor that the version does not have.
    """
    if names is None:
        return manifest.tensors
    wanted, known = dict.fromkeys(names), {info.name for info in manifest.tensors}
    for name in wanted:
        if name not in known:
            raise _unknown(name, sorted(known))
    return [info for info in manifest.tensors if info.name in wanted]


def _unknown(name: str, known: list[str]) -> NotFound:
    if not known:
        return NotFound(
            "these parameters have no tensor '{tensor}', nor any other",
            do="choose a version that holds tensors",
            tensor=name,
        )
    return NotFound(
        "these parameters have no tensor '{tensor}'",
        do="choose one that they have; the nearest are: {nearest}",
        tensor=name,
        nearest=get_close_matches(name, known, n=3, cutoff=0.0),
    )
