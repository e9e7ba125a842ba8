"""Tensors of a partial checkout, proved to be part of a version without the version."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tidegate.domain.errors import IntegrityError, NotFound, ParamsError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.checkout import checkout
from tidegate.params.commit import commit
from tidegate.params.proof import Proof, check, prove, read_proof
from tidegate.store.objects import Objects

STRUCTURE = Structure(adapter="tensors")
RNG = np.random.default_rng(0)
TENSORS = {f"t{i}": Tensor.of(RNG.normal(size=(i, 300))) for i in range(9)}


@pytest.fixture
def part(tmp_path):
    """Two of nine tensors in a file, their proof, and the version's id."""
    objects = Objects.open(str(tmp_path / "objects"))
    manifest = commit(objects, STRUCTURE, TENSORS)
    names = ["t3", "t8"]
    checkout(objects, manifest, tmp_path / "part", names)
    return tmp_path / "part", prove(manifest, names), manifest.id


def test_what_was_checked_out_is_proved(part, tmp_path):
    file, proof, id_ = part
    (tmp_path / "proof").write_text(proof.model_dump_json())
    assert check(file, read_proof(tmp_path / "proof"), id_) == 2


@pytest.mark.parametrize("bit", [0, 1000, -1])
def test_one_flipped_bit_is_seen(part, bit):
    file, proof, id_ = part
    raw = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    raw[start + bit if bit >= 0 else -1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(IntegrityError, match="not proved to be part of"):
        check(file, proof, id_)


def changed(proof, **with_):
    tensors = [proof.tensors[0].model_copy(update=with_), *proof.tensors[1:]]
    return proof.model_copy(update={"tensors": tensors})


@pytest.mark.parametrize(
    "lie",
    [
        lambda proof: changed(proof, index=proof.tensors[0].index + 1),
        lambda proof: changed(proof, index=-1),
        lambda proof: changed(proof, path=proof.tensors[0].path[:-1]),
        lambda proof: changed(proof, path=["zz", *proof.tensors[0].path[1:]]),
        lambda proof: changed(proof, path=["00", *proof.tensors[0].path[1:]]),
        lambda proof: proof.model_copy(update={"leaves": 0}),
        lambda proof: proof.model_copy(update={"leaves": 10**30}),
        lambda proof: proof.model_copy(update={"tensors": proof.tensors[:1]}),
    ],
)
def test_a_proof_that_lies_proves_nothing(part, lie):
    file, proof, id_ = part
    with pytest.raises(IntegrityError):
        check(file, lie(proof), id_)


def test_a_file_without_tensors_proves_nothing(part):
    file, proof, id_ = part
    save_file({}, file)
    with pytest.raises(ParamsError, match="holds no tensor"):
        check(file, proof.model_copy(update={"tensors": []}), id_)


def test_it_proves_one_version_only(part):
    file, proof, id_ = part
    assert check(file, proof, id_.upper()) == 2
    with pytest.raises(IntegrityError):
        check(file, proof, "0" * 64)


def test_more_or_fewer_tensors_than_proved(part, tmp_path):
    file, proof, id_ = part
    arrays = {name: TENSORS[name].numpy() for name in ("t3", "t8")}
    for told, says in (
        (arrays | {"t1": TENSORS["t1"].numpy()}, "says nothing about tensor 't1'"),
        ({"t3": arrays["t3"]}, "lacks tensor 't8'"),
    ):
        save_file(told, file)
        with pytest.raises(IntegrityError, match=says):
            check(file, proof, id_)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b"\xff", b'{"format": "tidegate/proof/2"}'])
def test_what_is_no_proof_is_told(tmp_path, raw):
    (tmp_path / "p").write_bytes(raw)
    with pytest.raises(ParamsError, match="is no proof"):
        read_proof(tmp_path / "p")
    with pytest.raises(NotFound):
        read_proof(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for its writer
    with pytest.raises(ParamsError, match="not a regular file"):
        read_proof(tmp_path / "pipe")


@given(tensors=st.data())
def test_every_tensor_of_any_version_has_a_proof(tensors, any_tensors, new_objects):
    given_ = tensors.draw(any_tensors)
    manifest = commit(new_objects(), STRUCTURE, given_)
    proof = Proof.model_validate(json.loads(prove(manifest).model_dump_json()))
    assert [tensor.name for tensor in proof.tensors] == [info.name for info in manifest.tensors]
    assert [tensor.id for tensor in proof.tensors] == [info.id for info in manifest.tensors]
