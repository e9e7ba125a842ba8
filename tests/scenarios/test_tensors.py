"""Parameters that come from files: versioned, approved and released, exact to the last bit."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from tidegate.domain.errors import Incompatible, NotFound, ParamsError, WrongUsage
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome


@pytest.fixture
def tensors(team):
    with team.as_("root") as root:
        root.apply_model({"model": "t", "adapter": "tensors"})
    return team


def saved(path, **arrays):
    save_file({name: np.asarray(array) for name, array in arrays.items()}, path)
    return path


def test_a_file_comes_back_byte_for_byte(tensors, tmp_path):
    rng = np.random.default_rng(0)
    file = saved(
        tmp_path / "one.safetensors",
        w=rng.normal(size=(7, 3)).astype("f4"), empty=np.zeros((0, 4)), zero=np.float64(-0.0),
    )  # fmt: skip
    update = tensors.ws.import_params("t", file, reason="from the lab")
    assert update.stage is Stage.APPROVE
    with tensors.as_("wei") as wei:
        assert wei.approve(update.id).outcome is Outcome.COMPLETED
    out = tmp_path / "out.safetensors"
    tensors.ws.checkout("t@champion", out)
    assert out.read_bytes() == file.read_bytes()
    tensors.ws.checkout("t@1", tmp_path / "part", ["w"])
    from safetensors.numpy import load_file

    assert list(load_file(tmp_path / "part")) == ["w"]
    with pytest.raises(NotFound):
        tensors.ws.checkout("t@1", tmp_path / "none", ["v"])
    assert not (tmp_path / "none").exists()


def test_versions_are_compared_tensor_by_tensor(tensors, tmp_path):
    for number, change in enumerate(({"a": [1.0, 2.0], "b": [1]}, {"a": [1.0, 3.0], "c": [2]})):
        update = tensors.ws.import_params(
            "t",
            saved(tmp_path / f"{number}.safetensors", **change),
            reason="next",
            allow_other_structure=number > 0,
        )
        with tensors.as_("wei") as wei:
            assert wei.approve(update.id).outcome is Outcome.COMPLETED
    status = {d.name: (d.status, d.changed_share) for d in tensors.ws.diff("t@1", "t@2")}
    assert status["a"] == ("changed", 0.5)
    assert (status["b"][0], status["c"][0]) == ("removed", "added")
    assert tensors.ws.deployment("t").champion == 2
    assert tensors.ws.verify().ok
    assert all(again.same for again in tensors.ws.replay("t-2"))


def test_parameters_of_another_structure_are_refused_unless_asked_for(tensors, tmp_path):
    first = saved(tmp_path / "1.safetensors", w=np.zeros((2, 3), "f4"), b=np.zeros(3, "f4"))
    with tensors.as_("wei") as wei:
        wei.approve(tensors.ws.import_params("t", first, reason="the first").id)
    other = saved(tmp_path / "2.safetensors", w=np.zeros((3, 2), "f4"), c=np.zeros(3, "f2"))
    with pytest.raises(Incompatible) as refused:
        tensors.ws.import_params("t", other, reason="the second")
    text = str(refused.value)
    for told in ("t@1", "missing: b", "new: c", "'w': F32 [2, 3] became F32 [3, 2]", "--allow-oth"):
        assert told in text
    assert [update.id for update in tensors.ws.updates("t")] == ["t-1"]
    update = tensors.ws.import_params("t", other, reason="new code", allow_other_structure=True)
    train = next(filed.verdict for filed in update.filed if filed.stage is Stage.TRAIN)
    assert [finding.code for finding in train.findings].count("structure") == 3
    with tensors.as_("wei") as wei:
        assert wei.approve(update.id).outcome is Outcome.COMPLETED
    back = saved(tmp_path / "3.safetensors", w=np.ones((3, 2), "f4"), c=np.ones(3, "f2"))
    assert tensors.ws.import_params("t", back, reason="the third").stage is Stage.APPROVE


def test_nothing_is_trained_and_nothing_served(tensors, make_rows):
    with pytest.raises(WrongUsage, match="not trained here"):
        tensors.ws.add_data("t", [tensors.file(make_rows(1))])
    with pytest.raises(WrongUsage, match="takes no parameter files"):
        tensors.ws.import_params("m", tensors.folder / "x.safetensors", reason="x")
    with pytest.raises(WrongUsage, match="nothing to watch"):
        tensors.ws.monitor("t")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers_are_refused(tensors, tmp_path, bad):
    file = saved(tmp_path / "bad.safetensors", fine=[1.0], broken=[[0.0, bad], [1.0, 2.0]])
    with pytest.raises(ParamsError, match="broken"):
        tensors.ws.import_params("t", file, reason="x")
    assert tensors.ws.updates("t") == []
    assert tensors.ws.log("t") == []
    assert tensors.ws.import_params("t", file, reason="x", allow_nonfinite=True).number == 1
