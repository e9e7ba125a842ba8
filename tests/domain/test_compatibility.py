"""What a loading program would stumble over is spelled out, and nothing else."""

import pytest

from tidegate.domain.compatibility import differences, undeclared
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.version import Manifest, Structure, TensorInfo


def manifest(tensors, **structure):
    infos = [
        TensorInfo(name=name, id="0" * 64, dtype=dtype, shape=shape, size_bytes=0)
        for name, (dtype, shape) in tensors.items()
    ]
    structure = {"adapter": "tensors"} | structure
    return Manifest(id="0" * 64, structure=Structure(**structure), tensors=infos)


BASE = {"w": ("F32", [2, 3]), "b": ("F32", [3])}


def told(was, now):
    return [str(difference) for difference in differences(was, now)]


def test_other_values_metadata_and_groups_are_no_difference():
    was = manifest(BASE, architecture={"metadata": {"step": "1"}})
    now = manifest(BASE, architecture={"metadata": {"step": "2"}}, groups={"head": ["w"]})
    assert told(was, now) == []


def test_tensors_are_named_with_their_forms():
    now = {"w": ("BF16", [2, 3]), "c": ("F32", [3])}
    assert told(manifest(BASE), manifest(now)) == [
        "1 tensor(s) are missing: b",
        "1 tensor(s) are new: c",
        "tensor 'w': F32 [2, 3] became BF16 [2, 3]",
    ]


def test_of_many_differences_the_first_are_told_and_the_rest_counted():
    many = {f"w{i}": ("F32", [i]) for i in range(9)}
    other = {f"w{i}": ("F32", [i + 1]) for i in range(9)}
    said = told(manifest(many), manifest(other))
    assert said[0] == "tensor 'w0': F32 [0] became F32 [1]"
    assert said[5:] == ["and 4 more like these"]
    missing = "9 tensor(s) are missing: w0, w1, w2, w3, w4, and 4 more"
    assert told(manifest(many), manifest({})) == [missing]
    assert "more" not in told(manifest({f"w{i}": many["w1"] for i in range(5)}), manifest({}))[0]


def test_structure_transform_and_libraries():
    was = manifest(
        {}, architecture={"layers": 2, "kept": 1}, libraries={"torch": ">=2.0"},
        transform={"numeric": [{"name": "age"}, {"name": "income"}], "keep": True},
    )  # fmt: skip
    now = manifest(
        {}, adapter="torch.module", architecture={"layers": 3, "kept": 1},
        libraries={"torch": ">=2.6"},
        transform={"numeric": [{"name": "age"}], "categorical": [{"name": "city"}], "keep": True},
    )  # fmt: skip
    assert told(was, now) == [
        "adapter tensors became torch.module",
        "the architecture differs in layers",
        "columns it did not read before: city",
        "columns it no longer reads: income",
        "library torch: >=2.0 became >=2.6",
    ]


SPEC = ModelSpec.model_validate({
    "model": "m", "task": "binary", "target": "y", "adapter": "sklearn.ridge", "key": "user",
    "exclude": ["secret"],
})  # fmt: skip


def structure(classes=("no", "yes"), task="binary", columns=("a", "b"), adapter="sklearn.ridge"):
    told = {"n_features": 2, "task": task} | ({"classes": list(classes)} if classes else {})
    transform = {"numeric": [{"name": name} for name in columns]}
    return Structure(adapter=adapter, architecture=told, transform=transform)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (structure(), []),
        (structure(adapter="sklearn.mlp"), ["adapter sklearn.ridge became sklearn.mlp"]),
        (structure(classes=("a", "b", "c")), ["3 classes, for the task binary"]),
        (structure(classes=()), ["0 classes, for the task binary"]),
        (structure(task="multiclass"), ["task binary became multiclass"]),
        (
            structure(columns=("a", "secret", "user", "y")),
            ["columns that the model file leaves out: secret, user, y"],
        ),
    ],
)
def test_what_is_not_as_the_model_declares_is_named(made, said):
    assert [str(each) for each in undeclared(made, SPEC)] == said


def test_numbers_have_no_classes_and_many_classes_are_no_limit():
    numbers = SPEC.model_copy(update={"task": Task.REGRESSION})
    assert undeclared(structure(classes=(), task="regression"), numbers) == []
    assert [str(each) for each in undeclared(structure(task="regression"), numbers)] == [
        "2 classes, for the task regression"
    ]
    many = SPEC.model_copy(update={"task": Task.MULTICLASS})
    assert undeclared(structure(classes="abcdef", task="multiclass"), many) == []
