"""What the documents say is there."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

from tidegate.data.contract.text import contract_from_yaml
from tidegate.domain.groups import members
from tidegate.domain.model import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [p for p in ROOT.rglob("*.md") if ".venv" not in p.parts]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_the_contract_and_the_cleaning_that_are_shown_can_be_taken():
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    contract, cleaning = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(contract_from_yaml(contract).columns) == 8
    given = {"model": "m", "adapter": "tensors", **yaml.safe_load(cleaning)}
    assert len(ModelSpec.model_validate(given).cleaning) == 13


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/strategies.md"])
def test_the_model_of_tensors_that_is_shown_can_be_declared(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    shown = re.findall(r"^(model: llm\n.*?)^(?:YAML|```)$", text, re.DOTALL | re.MULTILINE)
    assert len(shown) == 1
    spec = ModelSpec.model_validate(yaml.safe_load(shown[0]))
    assert (spec.model, spec.trains) == ("llm", False)
    if spec.groups:
        taken = members(spec.groups, ["lm_head.weight", "model.layers.0.mlp.weight"])
        assert list(map(len, taken.values())) == [1, 1]


@pytest.mark.parametrize("name", ["docs/release.md", "docs/release.zh-CN.md"])
def test_the_release_that_is_shown_can_be_declared_and_is_of_the_log(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    steps = ModelSpec.model_validate(yaml.safe_load(shown)).policy.rollout.steps
    assert [step.share for step in steps] == [0, 0.05, 0.25]
    log = (ROOT / name.replace("release", "deployment-log")).read_text(encoding="utf-8")
    part = text.partition("<!-- from the deployment log -->")[2].partition("<!-- to here -->")[0]
    lines = [line.removeprefix("#") for line in part.splitlines() if line]
    assert len(lines) > 10
    assert set(lines) <= set(log.splitlines())


def test_the_pictures_are_the_drawn_ones():
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_loop.py"))
    for lang, name in drawn["FILES"].items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == drawn["draw"](lang), (
            f"docs/{name} is out of date: make docs"
        )


def test_both_readmes_show_the_same_commands():
    def commands(name):
        text = (ROOT / name).read_text(encoding="utf-8")
        return re.findall(r"^(?:tidegate|make) [a-z ]+", text, re.MULTILINE)

    assert commands("README.md") == commands("README.zh-CN.md")
