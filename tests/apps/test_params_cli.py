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


def changed(name="layers.0.weight"):
    return weights(**{name: weights()[name] * 1.5})


def test_the_record_tells_what_is_true_of_parameters_that_nothing_serves(llm, bring):
    bring(weights())
    bring(changed())
    text = llm("docs llm-2").out
    assert "1 of 4 tensors, 14.0% of all values, are not what they were" in text
    assert "taken from next.safetensors: 4 tensors, 1.8 KiB; 1 changed, 0 new and 0 gone" in text
    assert "so there is no canary; llm@2 becomes the champion" in text
    assert "no observation: parameters are not served here" in text
    for untrue in (
        "growing share of traffic", "shows no drift", "as a full update means", "automatically",
        "learned from 0 rows", "no other version on traffic",
    ):  # fmt: skip
        assert untrue not in text
    assert "week 12 (approved by wei)" in llm("update list").out


def test_the_approver_sees_what_is_not_a_number(llm, bring):
    bring(weights())
    norm = weights()["norm.weight"]
    norm[3] = np.nan
    told = bring(weights(**{"norm.weight": norm}), "--allow-nonfinite", approve=False)
    warned = "1 value(s) are NaN or infinite, allowed by ada: norm.weight (1, first at 3)"
    assert warned in told.err
    for line in ("update show llm-2", "docs llm-2"):
        assert warned in llm(line).out
    again = llm("params import llm next.safetensors --reason x --allow-nonfinite --json").json
    assert warned in again["warnings"]


def test_the_approver_is_told_how_to_look(llm, bring):
    assert "tidegate params show llm@1;" in bring(weights()).out
    assert "tidegate params diff llm@1 llm@2;" in bring(changed(), approve=False).out


def test_an_import_that_changes_nothing_says_so(llm, bring):
    bring(weights())
    assert "nothing changed against llm@1" in bring(weights(), approve=False).err


def test_a_limit_on_the_step_of_a_group_holds_for_imports(llm, bring, tmp_path):
    bring(weights())
    (tmp_path / "llm.yaml").write_text(
        LLM + "groups: {layers: 'layers.*', head: '*norm*'}\n"
        "policy: {training: {max_relative_step: 0.3}}\n"
    )
    assert llm("model apply llm.yaml").code == 0
    save_file(changed(), tmp_path / "far.safetensors")
    refused = llm("params import llm far.safetensors --reason far")
    assert "group 'layers' moved by 0.3" in refused.out
    assert llm("update show llm-2 --json").json["outcome"] == "rejected"
    assert "layers | no | 2 | 1 | 0 | 0.3" in llm("docs llm-2").out
    save_file(
        weights(**{"embed.weight": weights()["embed.weight"] * 1.1}), tmp_path / "far.safetensors"
    )
    assert llm("params import llm far.safetensors --reason near --json").json["stage"] == "approve"
    assert "(others) | no | 1 | 1 | 0 | 0.1 |" in llm("docs llm-3").out


def test_a_limit_without_groups_is_on_all_parameters(llm, bring, tmp_path):
    bring(weights())
    (tmp_path / "llm.yaml").write_text(LLM + "policy: {training: {max_relative_step: 0.01}}\n")
    assert llm("model apply llm.yaml").code == 0
    save_file(changed(), tmp_path / "far.safetensors")
    assert "group '(all)' moved by" in llm("params import llm far.safetensors --reason far").out


def test_a_group_that_takes_no_tensor_is_refused_before_anything_is_stored(llm, tmp_path):
    (tmp_path / "llm.yaml").write_text(LLM + "groups: {all: '*', head: 'lm_head.*'}\n")
    assert llm("model apply llm.yaml").code == 0
    told = llm("params import llm v1.safetensors --reason first")
    assert told.code == 2
    assert "group 'head' of model 'llm' takes no tensor: 'lm_head.*' fits none" in told.err
    assert llm("update list --json").json == {"updates": []}
    assert not list((tmp_path / ".tidegate" / "objects").rglob("*.safetensors"))
    assert not (tmp_path / ".tidegate" / "objects" / "params").exists()


def test_the_same_file_gives_the_same_evidence_whatever_else_is_loaded(llm, bring):
    """A numeric library that some other command has loaded is no part of an import."""
    environment = [line for line in bring(weights()) and llm("docs llm-1").out.splitlines()
                   if line.startswith("- Environment")]  # fmt: skip
    assert environment
    assert "threads" not in environment[0]


def test_of_two_open_imports_the_second_is_told_before_anyone_signs(llm, bring):
    bring(weights())
    assert "also open" not in bring(changed(), approve=False).out
    told = bring(changed("layers.1.weight"), approve=False)
    assert "also open: llm-2; once one of them is in production" in told.out
    assert llm("approve llm-2 --as wei").code == 0
    why = "llm@2 went into production after this was proposed against llm@1"
    again = "tidegate params import llm next.safetensors --reason TEXT"
    for line in ("update show llm-3", "update list"):
        assert why in llm(line).out
        assert again in llm(line).out
    refused = llm("approve llm-3 --as wei")
    assert (refused.code, why in refused.err, again in refused.err) == (1, True, True)
    assert llm("update show llm-3 --json").json["approvals"] == []
    assert llm("update withdraw llm-3 --reason late").code == 0


def test_a_champion_with_the_same_parameters_overtakes_nobody(llm, bring):
    bring(weights())
    bring(weights(), approve=False)
    bring(changed(), approve=False)
    assert llm("approve llm-2 --as wei").code == 0
    assert llm("approve llm-3 --as wei --json").json["outcome"] == "completed"
    assert llm("release status llm --json").json["champion"] == 3
    assert llm("update replay llm-3").code == 0


def test_a_version_is_seen_to_cost_what_changed(llm, bring):
    bring(weights())
    assert "in 0 B that were not there before" in bring(weights()).out
    bring(changed())
    versions = llm("params log llm --json").json["versions"]
    stored = [version["stored_bytes"] for version in reversed(versions)]
    assert stored[0] > 1000
    assert stored[1] == 0
    assert 0 < stored[2] < stored[0] / 2
    again = llm("params import llm v1.safetensors --reason back --json").json
    assert (again["stored_bytes"], again["size_bytes"]) == (0, versions[0]["size_bytes"])
    assert llm("params log llm").out.splitlines()[1].split().count("B") >= 1


def test_small_changes_are_seen_in_a_diff(llm, bring):
    bring(weights())
    few = weights()["embed.weight"]
    few[0, 0] *= 1.0001
    bring(weights(**{"embed.weight": np.tile(few, (20, 1)), "norm.weight": np.ones(9)}),
          "--allow-other-structure")  # fmt: skip
    again = np.tile(few, (20, 1))
    again[0, 0] *= 1.01
    bring(weights(**{"embed.weight": again, "norm.weight": np.ones(9)}))
    shown = llm("params diff llm@2 llm@3").out
    assert "<0.1%" in shown
    row = next(line.split() for line in shown.splitlines() if line.startswith("embed.weight"))
    assert row[6].startswith(("1+", "1-"))
    assert row[7] not in ("0°", "1")
    assert "1 changed, 0 new, 0 gone, 3 the same" in shown
    assert "layers.0.weight" not in shown
    assert "layers.0.weight" in llm("params diff llm@2 llm@3 --all").out
    assert len(llm("params diff llm@2 llm@3 --json").json["tensors"]) == 4
    assert "8 → 9" in llm("params diff llm@1 llm@2").out
    assert "40x8 → 800x8" in llm("params diff llm@1 llm@2").out


def test_what_a_diff_tells_is_explained(llm):
    told = " ".join(llm("params diff --help").out.split())
    for word in ("step is |new - old|", "ULP steps count", "norm ratio is", "turned by"):
        assert word in told


@pytest.mark.parametrize("name", ["llm", "llm-1", "0" * 63, "g" * 64])
def test_a_mistyped_id_is_no_alarm(llm, bring, name):
    bring(weights())
    assert llm("params checkout llm@1 -o part --proof proof").code == 0
    told = llm(f"params verify part --proof proof {name}")
    assert (told.code, "is neither MODEL@V nor an id" in told.err) == (2, True)
    assert llm(f"params verify part --proof proof {'0' * 64}").code == 3


LONG = "model.layers.10.self_attn.q_proj.weight"


def test_what_is_piped_is_not_broken(llm, bring, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    bring(weights(**{LONG: np.ones((64, 64))}))
    bring(weights(**{LONG: np.full((64, 64), 1.5)}))
    lines = llm("params diff llm@1 llm@2").out.splitlines()
    assert [line.split()[:3] for line in lines if LONG in line] == [[LONG, "changed", "100.0%"]]
    log = llm("params log llm").out.splitlines()
    assert [line.split()[0] for line in log if "llm@" in line] == ["llm@2", "llm@1"]
    assert all(line.endswith("week 12") for line in log if line.startswith("llm@"))


def test_names_and_ids_are_whole_on_a_narrow_screen(llm, bring, monkeypatch):
    bring(weights(**{LONG: np.ones((64, 64))}))
    monkeypatch.setenv("COLUMNS", "74")
    id_ = next(t for t in llm("params show llm@1 --json").json["tensors"] if t["name"] == LONG)[
        "id"
    ]
    shown = llm("params show llm@1").out
    assert LONG in shown
    assert id_[:16] in shown
    assert "llm@1" in llm("params log llm").out


def test_one_flipped_byte_is_one_damaged_object(llm, bring, tmp_path):
    bring(weights())
    bring(changed())
    packs = (tmp_path / ".tidegate/objects/params/packs").rglob("00*")
    # A folder is named at random, and may begin so as well.
    pack = min((one for one in packs if one.is_file()), key=lambda p: p.stat().st_mtime)
    raw = bytearray(pack.read_bytes())
    raw[len(raw) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(raw)
    for line in ("params fsck", "audit verify"):
        told = llm(line)
        assert told.code == 3
        assert told.out.count("✗ llm@1") + told.out.count("  llm@1") == 1
        assert "3 more tensor(s) lie in the same object" in told.out
        assert "from a backup" in told.out
    assert "1 damaged or missing object(s), 4 tensor(s) cannot be read" in llm("params fsck").out
    document = llm("params fsck --json").json
    assert (len(document["objects"]), len(document["damages"]) >= 4) == (1, True)


def test_a_version_that_was_rolled_back_says_by_whom_and_why(llm, bring):
    bring(weights())
    bring(changed())
    bring(changed("layers.1.weight"), approve=False)
    rolled = llm("release rollback llm --reason bad")
    assert "version 2 was promoted, and rolled back since" in rolled.out
    assert "of requests" not in rolled.out
    log = llm("params log llm").out.splitlines()
    assert "waits for approval" in log[1]
    assert "rolled back by ada: bad" in log[2]
    assert "llm@1" in log[2]
    assert "in production" in log[3]
    assert (
        llm("params log llm --json").json["versions"][1]["taken_back"] == "rolled back by ada: bad"
    )
    assert "nothing is served here" not in rolled.out


def test_a_part_of_a_version_says_that_it_is_one(llm, bring):
    bring(weights())
    bring(changed(), approve=False)
    id_ = llm("params show llm@2 --json").json["params"]
    told = llm("params checkout llm@candidate -o part --tensor norm.weight --proof proof").out
    assert "1 of 4 tensors of llm@2 in part" in told
    assert f"tidegate params verify part --proof proof {id_}" in told
    assert llm(f"params verify part --proof proof {id_}").code == 0
    assert llm("params checkout llm@candidate -o x --json").json["version"] == "llm@2"
    assert "llm@2 is in x" in llm("params checkout llm@candidate -o x").out


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("params import llm nan.safetensors --reason x", 1, "--allow-nonfinite"),
        ("params import llm . --reason x", 1, "model.safetensors.index.json"),
        (
            "params import llm https://host/v1.safetensors --reason x",
            2,
            "only files on this machine",
        ),
        ("params checkout llm@1 -o .", 2, "'.' is a folder: name a file in it"),
        ("params checkout llm@1 -o p --proof .", 2, "'.' is a folder"),
        ("params export llm@1 -o x", 2, "tidegate params checkout MODEL@V -o FILE"),
        ("params list llm", 2, "tidegate params log MODEL"),
        ("params show llm@latest", 2, "champion is what is in production, candidate the newest"),
        ("approve llm-1 --as wei", 1, "tidegate params import llm FILE --reason TEXT"),
        ("release promote llm", 1, "tidegate params import llm FILE --reason TEXT"),
        ("update list --workspace ..", 1, "/.tidegate?"),
        ("model apply typo.yaml", 2, "did you mean 'tensors'?"),
    ],
)
def test_mistakes_are_told_with_what_to_do(llm, bring, tmp_path, monkeypatch, line, code, says):
    bring(weights())
    save_file({"w": np.array([np.nan])}, tmp_path / "nan.safetensors")
    (tmp_path / "typo.yaml").write_text("model: t\nadapter: tensor\n")
    if "--workspace" in line:
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
    told = llm(line)
    assert told.code == code, told
    assert says in told.err


def test_what_is_told_of_a_withdrawn_update_is_its_reason(llm, bring):
    bring(weights(), approve=False)
    assert llm("update withdraw llm-1 --reason nan").out.strip().endswith("withdrawn: nan")


def test_one_file_of_several_is_told_to_be_one(llm, tmp_path):
    save_file(weights(), tmp_path / "model-00001-of-00003.safetensors")
    told = llm("params import llm model-00001-of-00003.safetensors --reason first")
    assert "is one of 3 files by its name" in told.err
    save_file(weights(), tmp_path / "model-00001-of-00001.safetensors")
    told = llm("params import llm model-00001-of-00001.safetensors --reason first")
    assert "by its name" not in told.err


def test_roles_that_are_taken_away_are_told(llm):
    assert "no longer: approver" in llm("people set wei --role operator").out
    assert "no longer" not in llm("people set wei --role operator --role viewer").out
    assert "and nothing else" in " ".join(llm("people set --help").out.split())
