"""A version, or some of its tensors, as a safetensors file."""

import os
from collections.abc import Callable, Iterator, Sequence

from tidegate.domain.version import Manifest, TensorInfo
from tidegate.params.import_file import ADAPTER, FILE_METADATA
from tidegate.params.names import pick
from tidegate.params.progress import Meter, Progress, metered
from tidegate.params.safetensors_file import write_safetensors
from tidegate.params.tensors import stream_tensor
from tidegate.store.objects import Objects


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

    Memory is one chunk. Every tensor is verified before the file takes its place; only where
    ``path`` is a device or a pipe has it been written when the IntegrityError comes. Raises
    NotFound for a name the version does not have, StorageError where the file cannot be written.
    """
    chosen = pick(manifest, names)
    meter = Meter(progress, sum(info.size_bytes for info in chosen))

    def verified(info: TensorInfo) -> Callable[[], Iterator[bytes]]:
        return lambda: metered(stream_tensor(objects, info), meter)

    pieces = [(info, verified(info)) for info in chosen]
    return write_safetensors(path, pieces, _metadata(manifest))


def _metadata(manifest: Manifest) -> dict[str, str] | None:
    """The imported file's own metadata; other adapters have none."""
    if manifest.structure.adapter != ADAPTER:
        return None
    return manifest.structure.architecture.get(FILE_METADATA)
