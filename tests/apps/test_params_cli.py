"""``tidegate params`` for parameters that come from files, as someone new to it meets it."""

import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

LLM = "model: llm\nadapter: tensors\n"


def weights(**changed):
    """A small model of four tensors."""
    rng = np.random.default_rng(0)
    made = {
        "embed.weight": rng.normal(size=(40, 8)),
        "layers.0.weight": rng.normal(size=(8, 8)),
        "layers.1.weight": rng.normal(size=(8, 8)),
        "norm.weight": np.ones(8),
    }
    return {name: np.asarray(array, "f4") for name, array in (made | changed).items()}


@pytest.fixture
def llm(tidegate, tmp_path):
    """A model of tensors, Wei who approves, and a file of parameters; nothing imported yet."""
    (tmp_path / "llm.yaml").write_text(LLM)
    save_file(weights(), tmp_path / "v1.safetensors")
    for line in ("init --as ada", "people add wei --role approver", "model apply llm.yaml"):
        assert tidegate(line).code == 0
    return tidegate


@pytest.fixture
def bring(llm, tmp_path):
    """Imports parameters: ``bring(weights(...))``; approved by Wei unless ``approve=False``."""

    def run(arrays, options="", *, approve=True):
        save_file(arrays, tmp_path / "next.safetensors")
        told = llm(f"params import llm next.safetensors --reason 'week 12' {options}")
        assert told.code == 0, told
        if approve:
            number = len(llm("params log llm --json").json["versions"])
            assert llm(f"approve llm-{number} --as wei").code == 0
        return told

    return run


def test_parameters_and_proof_never_share_a_file(llm, bring, tmp_path):
    bring(weights())
    os.symlink(tmp_path / "p", tmp_path / "link")
    for out, proof in (("p", "p"), ("p", "./p"), ("p", "link"), ("link", "p")):
        told = llm(f"params checkout llm@1 -o {out} --proof {proof}")
        assert told.code == 2, told
        assert "would destroy" in told.err
        assert not (tmp_path / "p").exists()
    assert llm("params checkout llm@1 -o p --proof q").code == 0
    assert llm("params checkout llm@1 -o p --proof link").code == 2
    assert load_file(tmp_path / "p").keys() == weights().keys()


def test_a_file_that_is_replaced_is_told(llm, bring, tmp_path):
    bring(weights())
    assert "replaced" not in llm("params checkout llm@1 -o p").out
    assert "p replaced the file of that name" in llm("params checkout llm@1 -o p").out
    assert llm("params checkout llm@1 -o p --json").json["replaced"] == ["p"]
    assert "in place of" not in llm("params diff llm@1 llm@1 --svg d.svg").out
    assert "in place of" in llm("params diff llm@1 llm@1 --svg d.svg").out
    assert "in place of" not in llm("docs llm-1 -o r.md").out
    assert "in place of" in llm("docs llm-1 -o r.md").out
