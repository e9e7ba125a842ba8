"""A model in several files is the same version as in one; an index that lies is refused."""

import json

import pytest

from tidegate.domain.errors import NotFound, ParamsError
from tidegate.domain.tensor import Tensor
from tidegate.params.files.import_file import import_file
from tidegate.params.files.safetensors_file import write_safetensors
from tidegate.params.files.sharded import open_parameters

A, B, C = (Tensor("U8", (3,), text) for text in (b"abc", b"def", b"ghi"))
MAP = {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}


@pytest.fixture
def folder(tmp_path):
    write_safetensors(tmp_path / "1.safetensors", {"a": A, "b": B}, {"format": "pt", "part": "1"})
    write_safetensors(tmp_path / "2.safetensors", {"c": C}, {"format": "pt", "part": "2"})
    return tmp_path


def index(folder, told):
    path = folder / "model.safetensors.index.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return path


def test_several_files_are_the_version_that_one_is(objects, folder):
    path = index(folder, {"metadata": {"total_size": 9}, "weight_map": MAP})
    write_safetensors(folder / "whole", {"a": A, "b": B, "c": C}, {"format": "pt"})
    assert import_file(objects, path) == import_file(objects, folder / "whole")


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ("{", "weight_map"),
        ("[]", "weight_map"),
        ({}, "weight_map"),
        ({"weight_map": {}}, "weight_map"),
        ({"weight_map": ["a"]}, "weight_map"),
        ("[" * 100_000, "weight_map"),
        ({"weight_map": MAP | {"a": 1}}, "'a'"),
        ({"weight_map": MAP | {"a": "../1.safetensors"}}, "'a'"),
        ({"weight_map": MAP | {"a": "/etc/passwd"}}, "'a'"),
        ({"weight_map": MAP | {"a": ".."}}, "'a'"),
        ({"weight_map": MAP | {"d": "1.safetensors"}}, "do not agree on tensor 'd'"),
        ({"weight_map": {k: v for k, v in MAP.items() if k != "b"}}, "tensor 'b'"),
        ({"weight_map": MAP | {"a": "2.safetensors"}}, "do not agree on tensor"),
    ],
)
def test_an_index_that_lies_is_refused(folder, told, what):
    with pytest.raises(ParamsError, match=what):
        open_parameters(index(folder, told))


def test_what_is_missing_is_named(folder):
    with pytest.raises(NotFound, match=r"9\.safetensors', which index '.*index\.json' names"):
        open_parameters(index(folder, {"weight_map": MAP | {"a": "9.safetensors"}}))
    with pytest.raises(NotFound, match=r"none\.json"):
        open_parameters(folder / "none.json")
    with pytest.raises(ParamsError, match=r"is a folder: name .* model\.safetensors\.index\.json"):
        open_parameters(folder)
