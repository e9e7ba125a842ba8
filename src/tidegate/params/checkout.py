"""A version, or some of its tensors: in memory, or as a safetensors file."""

import os
from collections.abc import Iterable, Sequence

import numpy as np

from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Manifest, TensorInfo
from tidegate.params.files.import_file import ADAPTER, FILE_METADATA
from tidegate.params.files.safetensors_writer import SafetensorsWriter
from tidegate.params.names import pick
from tidegate.params.packed.reader import Sink, Unit, check_empty, read_unit, units
from tidegate.params.packed.references import read_sheet
from tidegate.params.parallel import on_threads
from tidegate.params.progress import Meter, Progress
from tidegate.store.objects import Objects

#: Requests that wait for a store at a distance at the same time.
_REMOTE_THREADS = 8


def load_manifest(objects: Objects, id_: str) -> Manifest:
    """What the version consists of, its id derived anew; IntegrityError on any difference."""
    return read_sheet(objects, id_).manifest


def load(
    objects: Objects, manifest: Manifest, names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """The version's tensors by name, verified; ``names`` picks some, NotFound if one is none."""
    chosen = pick(manifest, names)
    # Arrays and not bytes: numpy copies while other threads run, of which one answers requests, and
    # what is read needs no copy to be handed on.
    held = {info.name: np.empty(info.size_bytes, np.uint8) for info in chosen}

    def keep(info: TensorInfo, start: int, part: memoryview) -> None:
        held[info.name][start : start + len(part)] = np.frombuffer(part, np.uint8)

    _read(objects, manifest, chosen, keep, None)
    return {
        info.name: Tensor(info.dtype, tuple(info.shape), held[info.name].data.toreadonly())
        for info in chosen
    }


def checkout(
    objects: Objects,
    manifest: Manifest,
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> int:
    """Bytes written to the safetensors file ``path``: all tensors, or those named.

    Exact: names, dtypes, shapes, every bit of every tensor, and the metadata of an imported file;
    nothing is added, so importing the file again gives the same version. The order of header and
    data is canonical (that of the safetensors library), so a file written in another order comes
    back with the same content, not the same file digest. Equal versions give equal files.

    Memory is some blocks for each core. Every tensor is verified before the file takes its
    place; only where ``path`` is a device or a pipe has it been written when the IntegrityError
    comes. Raises NotFound for a name the version does not have, StorageError where the file
    cannot be written.
    """
    chosen = pick(manifest, names)
    with SafetensorsWriter(path, chosen, _metadata(manifest)) as writer:
        _read(objects, manifest, chosen, writer.write, progress, in_order=writer.in_order)
    return writer.size_bytes


def _read(
    objects: Objects,
    manifest: Manifest,
    chosen: Sequence[TensorInfo],
    sink: Sink,
    progress: Progress | None,
    in_order: Sequence[str] | None = None,
) -> None:
    """Give every part of the chosen tensors to ``sink``, from several threads at once.

    With ``in_order``, tensor after tensor in that order, and from one thread.
    """
    sheet = read_sheet(objects, manifest.id)
    names = {info.name for info in chosen}
    meter = Meter(progress, sum(info.size_bytes for info in chosen))

    def wanted(info: TensorInfo, start: int, part: memoryview) -> None:
        if info.name in names:
            sink(info, start, part)
            meter.add(len(part))

    for info in chosen:
        if not info.size_bytes:
            check_empty(info)
    if in_order is not None:
        for name in in_order:
            names = {name}
            for unit in units(sheet, names):
                read_unit(objects, unit, wanted)
        return

    def read(unit: Unit) -> None:
        read_unit(objects, unit, wanted)

    on_threads(read, units(sheet, names), _REMOTE_THREADS if objects.remote else None)


def _metadata(manifest: Manifest) -> dict[str, str] | None:
    """The imported file's own metadata; other adapters have none."""
    if manifest.structure.adapter != ADAPTER:
        return None
    return manifest.structure.architecture.get(FILE_METADATA)
