"""Proofs that tensors are part of a version, for who has neither the version nor the workspace."""

import os
from collections.abc import Iterable, Sequence, Set
from typing import Literal

from pydantic import ValidationError

from tidegate.domain.errors import IntegrityError, ParamsError
from tidegate.domain.merkle import inclusion_path, root_from_path
from tidegate.domain.messages import Frozen
from tidegate.domain.version import Manifest
from tidegate.params.files.regular import read_regular
from tidegate.params.files.safetensors_file import open_safetensors
from tidegate.params.identity import name_bytes, tensor_hasher, tensor_leaf, version_leaves
from tidegate.params.names import pick

#: Far above any true proof: 64 hashes a tensor.
_MAX_BYTES = 256 << 20
_PART = 1 << 20


class TensorProof(Frozen):
    """One tensor's place: leaf ``index`` of the tree, and the hashes beside its way to the root."""

    name: str
    id: str
    index: int
    path: list[str]


class Proof(Frozen):
    """That these tensors are in version ``params``, whose tree has ``leaves`` leaves.

    The tree and the path are those of RFC 6962; ``docs/format.md`` says what the leaves are.
    """

    format: Literal["tidegate/proof/1"] = "tidegate/proof/1"
    params: str
    leaves: int
    tensors: list[TensorProof]


def prove(manifest: Manifest, names: Iterable[str] | None = None) -> Proof:
    """A proof for the named tensors of a version, or for all; NotFound where one is none."""
    leaves = version_leaves(manifest.structure, manifest.tensors)
    place = {info.name: index for index, info in enumerate(manifest.tensors, 1)}
    told = [
        TensorProof(
            name=info.name,
            id=info.id,
            index=place[info.name],
            path=[hash_.hex() for hash_ in inclusion_path(leaves, place[info.name])],
        )
        for info in pick(manifest, names)
    ]
    return Proof(params=manifest.id, leaves=len(leaves), tensors=told)


def check(file: str | os.PathLike[str], proof: Proof, params: str) -> int:
    """How many tensors a safetensors file holds, each found to be one of version ``params``.

    Every bit of every tensor is read, in parts. Raises IntegrityError naming the first that is
    not proved to be in the version, and where proof and file are not of the same tensors;
    ParamsError where the file has none, which would prove nothing. The file's own metadata is no
    tensor, and nothing is said of it.
    """
    params = params.lower()
    told = {tensor.name: tensor for tensor in proof.tensors}
    with open_safetensors(file) as opened:
        _check_names(os.fspath(file), told.keys(), opened.names)
        if not told:
            raise ParamsError(
                "file '{file}' holds no tensor: nothing can be proved of it",
                do="give a file with tensors that 'tidegate params checkout' wrote",
                file=os.fspath(file),
            )
        room = memoryview(bytearray(_PART))
        for name in opened.names:
            info = opened.info(name)
            hasher = tensor_hasher(info.dtype, info.shape)
            for start in range(0, info.size_bytes, _PART):
                part = room[: min(_PART, info.size_bytes - start)]
                hasher.update(opened.read_part(name, start, part))
            if not _holds(told[name], hasher.hexdigest(), proof.leaves, params):
                raise _unproved(name, params)
        return len(opened.names)


def _check_names(file: str, proved: Set[str], held: Sequence[str]) -> None:
    for name in held:
        if name not in proved:
            raise IntegrityError(
                "the proof says nothing about tensor '{tensor}' of file '{file}'",
                do="check out file and proof in one go: tidegate params checkout VERSION -o FILE "
                "--proof PROOF",
                tensor=name,
                file=file,
            )
    for name in sorted(proved - set(held)):
        raise IntegrityError(
            "file '{file}' lacks tensor '{tensor}', which the proof is about",
            do="check out file and proof in one go: tidegate params checkout VERSION -o FILE "
            "--proof PROOF",
            tensor=name,
            file=file,
        )


def read_proof(path: str | os.PathLike[str]) -> Proof:
    """The proof in a file; raises NotFound where no file is, ParamsError where it is none."""
    raw = read_regular(path, _MAX_BYTES + 1)
    try:
        if len(raw) > _MAX_BYTES:
            raise ValueError
        return Proof.model_validate_json(raw)
    except (ValidationError, ValueError):
        raise ParamsError(
            "file '{file}' is no proof of tensors",
            do="give the file that 'tidegate params checkout --proof' wrote",
            file=os.fspath(path),
        ) from None


def _holds(told: TensorProof, id_: str, leaves: int, params: str) -> bool:
    """Whether the tensor of this id, at its place, gives the version's id."""
    try:
        path = [bytes.fromhex(hash_) for hash_ in told.path]
    except ValueError:
        return False
    if any(len(hash_) != 32 for hash_ in path):
        return False
    # Leaf 0 is the structure, which is no tensor; its tag says so too.
    root = root_from_path(tensor_leaf(name_bytes(told.name), id_), told.index, leaves, path)
    return root is not None and root.hex() == params


def _unproved(name: str, params: str) -> IntegrityError:
    return IntegrityError(
        "tensor '{tensor}' is not proved to be part of parameters {params}",
        do="trust neither the file nor the proof; check the version out again",
        tensor=name,
        params=params,
    )
