"""Parameters from a safetensors file, or a sharded one: everything checked as it is read."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.domain.errors import ParamsError
from tidegate.domain.version import Manifest, Structure
from tidegate.params.commit import commit
from tidegate.params.files.sharded import open_parameters
from tidegate.params.progress import Progress
from tidegate.store.objects import Objects

ADAPTER = "tensors"
#: Where ``architecture`` keeps the file's own metadata, so that checkout can write it back.
FILE_METADATA = "metadata"


def import_file(
    objects: Objects,
    path: str | os.PathLike[str],
    *,
    near: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    libraries: Mapping[str, str] | None = None,
    allow_nonfinite: bool = False,
    repair: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """The stored version of a file's tensors and metadata, for the adapter ``tensors``.

    Every bit of every tensor, and the file's ``__metadata__``, are part of the version. ``path``
    may be the index of a model in several files (``model.safetensors.index.json``). ``repair``
    stores anew what is damaged of what is there. Raises
    ParamsError for a header that lies, for NaN or infinity unless ``allow_nonfinite``, for a
    group that names a tensor the file does not have, and for a file that changes meanwhile;
    NotFound where there is no file. Then nothing is stored.
    """
    with open_parameters(path) as file:
        known = set(file.names)
        for group, members in (groups or {}).items():
            for tensor in members:
                if tensor not in known:
                    raise ParamsError(
                        "group '{group}' names tensor '{tensor}', which file '{file}' "
                        "does not have",
                        do="correct the model's groups, or the file",
                        group=group,
                        tensor=tensor,
                        file=file.file,
                    )
        architecture: dict[str, Any] = {}
        if file.metadata is not None:
            architecture[FILE_METADATA] = file.metadata
        structure = Structure(
            adapter=ADAPTER,
            architecture=architecture,
            groups={group: list(members) for group, members in (groups or {}).items()},
            libraries=dict(libraries or {}),
        )
        return commit(
            objects,
            structure,
            file,
            near,
            allow_nonfinite=allow_nonfinite,
            repair=repair,
            progress=progress,
        )
