"""A model in several safetensors files, named by an index; or in one."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tidegate.domain.errors import NotFound, ParamsError
from tidegate.params.files.regular import read_regular
from tidegate.params.files.safetensors_file import SafetensorsFile, open_safetensors
from tidegate.params.files.safetensors_header import Entry, has_too_many_values, twice

#: An index is a list of names; no true one comes near.
_MAX_INDEX_BYTES = 100_000_000
#: Files kept open: a process may have 1,024 on many systems, and needs some for itself.
_KEPT_OPEN = 256


class ShardedFile:
    """The tensors of several files under one roof; a context manager, and a commit's source."""

    def __init__(self, file: str, shards: Mapping[str, SafetensorsFile], closing: ExitStack):
        self.file = file
        self._shards, self._closing = shards, closing
        #: Names of the tensors.
        self.names = list(shards)
        self.watched = all(shard.watched for shard in shards.values())

    def check(self) -> None:
        """Raise ParamsError where one of the files was changed since it was opened."""
        for shard in dict.fromkeys(self._shards.values()):
            shard.check()

    @property
    def metadata(self) -> dict[str, str] | None:
        """What the files say of themselves in the same words; None where they say nothing."""
        told = [shard.metadata for shard in dict.fromkeys(self._shards.values())]
        if not told or any(metadata is None for metadata in told):
            return None
        common = set.intersection(*({*metadata.items()} for metadata in told if metadata))
        return dict(sorted(common))

    def info(self, name: str) -> Entry:
        """Name, dtype, shape and place of one tensor."""
        return self._shards[name].info(name)

    def read_part(self, name: str, start: int, room: memoryview) -> memoryview:
        """Bytes of a tensor from ``start``, written to ``room``."""
        return self._shards[name].read_part(name, start, room)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()


def open_parameters(path: str | os.PathLike[str]) -> SafetensorsFile | ShardedFile:
    """The safetensors file ``path``; or, where it ends in ``.json``, all that the index names.

    Raises as ``open_safetensors``, and ParamsError for an index that names a file outside its
    folder, a tensor that its file does not have, or leaves one out that a file has.
    """
    file = os.fspath(path)
    if os.path.isdir(file):
        raise ParamsError(
            "'{file}' is a folder",
            do="name the safetensors file in it, or its model.safetensors.index.json where the "
            "model is in several files",
            file=file,
        )
    if not file.endswith(".json"):
        return open_safetensors(file)
    with ExitStack() as stack:
        shards: dict[str, SafetensorsFile] = {}
        members: dict[str, set[str]] = {}
        for tensor, shard in _weight_map(file).items():
            members.setdefault(shard, set()).add(tensor)
        keep_open = len(members) <= _KEPT_OPEN
        for shard, told in members.items():
            beside = Path(file).parent / shard
            if not beside.exists():
                raise NotFound(
                    "there is no file '{shard}', which index '{file}' names",
                    do="put all files of the index beside it",
                    shard=beside,
                    file=file,
                )
            opening = open_safetensors(beside, keep_open=keep_open)
            opened = stack.enter_context(opening)
            for tensor in sorted(told ^ set(opened.names)):
                raise ParamsError(
                    "index '{file}' and file '{shard}' do not agree on tensor '{tensor}'",
                    do="write the index and its files again from their source",
                    file=file,
                    shard=shard,
                    tensor=tensor,
                )
            shards |= dict.fromkeys(told, opened)
        return ShardedFile(file, shards, stack.pop_all())


def _weight_map(file: str) -> dict[str, str]:
    raw = read_regular(file, _MAX_INDEX_BYTES + 1)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key in twice(pairs):
            raise ParamsError(
                "index '{file}' names {key} twice",
                do="write the index and its files again from their source",
                file=file,
                key=ascii(key),
            )
        return dict(pairs)

    if len(raw) > _MAX_INDEX_BYTES or has_too_many_values(raw):
        raise _no_index(file, "weight_map")
    try:
        told: Any = json.loads(raw, object_pairs_hook=unique)
        placed = told["weight_map"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise _no_index(file, "weight_map") from None
    if not isinstance(placed, dict) or not placed:
        raise _no_index(file, "weight_map")
    for tensor, shard in placed.items():
        if not isinstance(shard, str) or Path(shard).name != shard or shard in ("", ".", ".."):
            raise _no_index(file, tensor)
    return placed


def _no_index(file: str, where: str) -> ParamsError:
    return ParamsError(
        "file '{file}' is no index of safetensors files (at '{where}')",
        do="give a safetensors file, or an index whose weight_map names files beside it",
        file=file,
        where=where,
    )
