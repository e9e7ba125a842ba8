"""The command line of interface.md: names, JSON, exit codes, both languages."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from tidegate.apps.cli import data


def test_a_first_version_from_the_command_line(shop):
    added = shop("data add m 1.csv --json").json
    assert {"snapshot", "rows", "columns", "quality", "consistency"} <= added.keys()
    assert added["rows"] == 200
    started = shop(f"update start m --data {added['snapshot']} --reason first --wait --json").json
    assert {"update", "stage", "outcome"} <= started.keys()
    assert (started["update"], started["stage"], started["outcome"]) == ("m-1", "approve", None)
    assert shop("approve m-1").code == 3  # the proposer may not
    assert shop("approve m-1 --as wei --json").json["outcome"] == "completed"
    assert shop("update list --json").json["updates"][0]["outcome"] == "completed"


@pytest.mark.parametrize(
    "line",
    [
        "update list", "update show m-2", "update watch m-1", "update replay m-2",
        "update reproduce m-2", "params log m", "params show m@2", "params diff m@1 m@candidate",
        "params fsck", "params gc", "release status m", "monitor m", "audit verify", "people list",
        "model show m", "model list", "docs m-2 --kind record", "data profile 1.csv",
        "data compare 1.csv 2.csv", "data drift m", "version",
    ],
)  # fmt: skip
def test_every_command_speaks_to_people_and_to_machines(lived, line):
    told = lived(line)
    assert told.code == 0, told
    assert told.out.strip()
    if line == "version":
        return
    as_json = lived(f"{line} --json")
    assert as_json.code == 0
    assert isinstance(as_json.json, dict)
    chinese = lived(f"{line} --lang zh")
    assert chinese.code == 0, chinese


def test_the_documents_of_interface_md(lived):
    diff = lived("params diff m@1 m@2 --svg diff.svg --json").json
    assert Path(diff["picture"]).read_text().startswith("<svg")
    assert {"name", "status", "changed_share"} <= diff["tensors"][0].keys()
    compared = lived("data compare 1.csv 2.csv --json").json
    assert {
        "verdict", "columns", "joint", "rows_reference", "rows_current", "seconds",
    } <= compared.keys()  # fmt: skip
    assert {"name", "drifted", "effect", "p_value"} <= compared["columns"][0].keys()
    assert {"drifted", "score", "columns"} <= compared["joint"].keys()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_number_is_never_broken_in_two(lived, monkeypatch, lang):
    """Eighty columns hold a diff; where names are long, they are what gives way."""
    monkeypatch.setenv("COLUMNS", "80")
    exact = lived("params diff m@1 m@2 --json").json["tensors"]
    shown = lived(f"params diff m@1 m@2 --lang {lang}").out.split()
    for row in exact:
        for figure in ("max_step", "mean_step", "max_ulp_step"):
            assert f"{row[figure]:.3g}" in shown
        ratio = row["norm_ratio"]
        assert (f"{ratio:.3g}" if abs(ratio - 1) >= 0.01 else f"1{ratio - 1:+.2g}") in shown


def test_releases_by_hand(lived):
    assert lived("release status m --json").json["release"]["status"] == "canary"
    assert lived("release promote m --json").code == 0
    assert lived("params log m --json").json["versions"][0]["champion"] is True
    assert lived("release rollback m --reason trouble --to m@1").code == 0
    assert lived("release status m --json").json["champion"] == 1
    assert "version 2 was promoted, and rolled back since" in lived("release status m").out
    nothing = lived("release promote m")
    assert nothing.code == 1
    assert "no release under way" in nothing.err


def test_parameters_go_out_to_a_file(lived, tmp_path):
    assert lived("params checkout m@1 -o out.safetensors --tensor coef").code == 0
    from safetensors.numpy import load_file

    assert list(load_file(tmp_path / "out.safetensors")) == ["coef"]


def test_a_contract_for_a_file_and_a_file_that_breaks_it(tidegate, tmp_path):
    """Neither needs a workspace; what refuses ends with 3."""
    (tmp_path / "a.csv").write_text("n,day\n" + "".join(f"{n},2011-01-0{n}\n" for n in range(1, 9)))
    assert "# minimum" in tidegate("data contract a.csv").out
    assert "# minimum、maximum" in tidegate("data contract a.csv --lang zh").out
    made = tidegate("data contract a.csv -o c.yaml --json").json
    assert [rule["kind"] for rule in made["columns"]] == ["numeric", "date"]
    kept = tidegate("data check a.csv c.yaml --json")
    assert (kept.code, kept.json) == (0, {"passed": True, "breaches": []})
    assert "the contract is kept" in tidegate("data check a.csv c.yaml").out
    (tmp_path / "b.csv").write_text("n,day\n900,2011-01-01\n2,2011-01-02\n")
    warned = tidegate("data check b.csv c.yaml")
    assert warned.code == 0
    assert "900 (rows 0)" in warned.out
    strict = (tmp_path / "c.yaml").read_text().replace("severity: warn", "severity: refuse")
    (tmp_path / "c.yaml").write_text(strict)
    refused = tidegate("data check b.csv c.yaml --json")
    assert (refused.code, refused.json["passed"]) == (3, False)
    [breach] = refused.json["breaches"]
    assert (breach["column"], breach["rule"], breach["rows"]) == ("n", "range", [0])


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("data check a.csv none.yaml", 1, "there is no file none.yaml"),
        ("data check none.csv c.yaml", 1, "there is no file none.csv"),
        ("data check a.csv bad.yaml", 2, "at character 1: 'a ** b'"),
        ("data check a.csv latin.yaml", 2, "not UTF-8"),
        ("data check a.csv .", 1, "cannot be read"),
        ("data contract a.csv -o none/c.yaml", 1, "cannot be written"),
    ],
)
def test_what_is_no_contract(tidegate, tmp_path, line, code, says):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "c.yaml").write_text("columns: []")
    (tmp_path / "bad.yaml").write_text("columns: []\nrules: ['a ** b > 1']")
    (tmp_path / "latin.yaml").write_bytes(b"columns: [{name: \xe9}]")
    told = tidegate(line)
    assert told.code == code, told
    assert says in told.err


def test_refusing_and_withdrawing(shop):
    snapshot = shop("data add m 1.csv --json").json["snapshot"]
    shop(f"update start m --data {snapshot} --reason first")
    refused = shop("reject m-1 --reason 'not now' --as wei --json")
    assert (refused.code, refused.json["outcome"]) == (0, "rejected")
    shop(f"update start m --data {snapshot} --reason again --no-wait")
    assert shop("update resume m-2 --json").json["stage"] == "approve"
    assert shop("update withdraw m-2 --reason mistake").code == 0
    assert shop("update resume m-2 --json").json["outcome"] == "withdrawn"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("update show m-9", 1, "no update 'm-9'"),
        ("params show m@9", 1, "no version m@9"),
        ("params show m@champ", 2, "did you mean champion"),
        ("params show m", 2, "does not name a version"),
        ("model show n", 1, "no model 'n'"),
        ("data add m none.csv", 1, "none.csv"),
        ("update start m --data s-1 --reason x", 1, "no snapshot 's-1'"),
        ("update start m --data s-1 --reason x --strategy fulll", 2, "full"),
        ("update start m --reason x", 2, "--data"),
        ("frobnicate", 2, "frobnicate"),
        ("update list --lang", 2, "--lang"),
        ("update show \udcff\udcfe", 2, "no character"),
        ("update list --lang fr", 2, "fr"),
        ("people add bo --team nowhere --role viewer", 2, "nowhere"),
        ("update list --workspace elsewhere", 1, "no workspace"),
        ("init", 1, "workspace already"),
        ("people set ada --role viewer", 1, "last administrator"),
    ],
)
def test_mistakes_are_told_with_their_remedy(shop, line, code, says):
    told = shop(line)
    assert told.code == code, told
    assert says in told.err
    assert "Traceback" not in told.err
    as_json = shop(f"{line} --json")
    assert as_json.json["error"]["exit_code"] == code
    assert shop("audit verify").code == 0


def test_global_options_stand_anywhere(shop):
    for line in ("--json update list", "update --json list", "update list --json"):
        assert shop(line).json == {"updates": []}
    assert shop("update list --workspace=.tidegate --json").code == 0


def test_who_acts_comes_from_the_environment(shop, monkeypatch):
    monkeypatch.setenv("TIDEGATE_USER", "wei")
    assert "role proposer" in shop("data add m 1.csv").err
    monkeypatch.setenv("TIDEGATE_USER", "ada")
    assert shop("data add m 1.csv").code == 0


def test_a_changed_model_is_recorded_and_the_same_one_is_not(shop, tmp_path):
    assert shop("model apply m.yaml --json").json["changed"] is False
    changed = (tmp_path / "m.yaml").read_text().replace("min_labels: 40", "min_labels: 50")
    (tmp_path / "m.yaml").write_text(changed)
    assert shop("model apply m.yaml --json").json["changed"] is True


def test_output_that_nobody_reads_is_no_error(lived):
    done = subprocess.run(
        f"{sys.executable} -m tidegate.apps.cli params log m | head -c 1",
        shell=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def test_json_is_the_only_thing_on_standard_output():
    done = subprocess.run(
        [sys.executable, "-m", "tidegate.apps.cli", "model", "list", "--json", "--workspace=/none"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "WorkspaceError"


def test_a_part_of_a_version_is_proved_without_the_workspace(lived, tmp_path):
    id_ = lived("params show m@1 --json").json["params"]
    name = lived("params show m@1 --json").json["tensors"][0]["name"]
    lived(["params", "checkout", "m@1", "-o", "part", "--tensor", name, "--proof", "proof"])
    assert lived("params verify part --proof proof m@1 --json").json["tensors"] == 1
    nowhere = f"params verify part --proof proof {id_} --workspace {tmp_path / 'none'}"
    assert lived(nowhere).code == 0
    assert lived(f"params verify part --proof proof {'0' * 64}").code == 3
    assert lived("params verify part --proof part m@1").code != 0


def test_pages_with_pictures(lived, tmp_path):
    for line, shows in (
        ("data profile 1.csv --html p.html", "<svg"),
        ("data compare 1.csv 2.csv --html c.html --lang zh", "对照"),
        ("data drift m --html d.html", "Drift over time"),
    ):
        assert lived(line).code == 0
        assert shows in (tmp_path / line.split(" --html ")[1].split()[0]).read_text("utf-8")
    refused = lived("data compare 1.csv 2.csv --html nowhere/c.html")
    assert refused.code == 1
    assert "nowhere/c.html cannot be written" in refused.err


def test_a_fault_within_polars_is_told_as_one_document(tidegate, tmp_path, monkeypatch):
    def panic(*_):
        raise pl.exceptions.PanicException("out of range")

    monkeypatch.setattr(data, "profile_file", panic)
    told = tidegate("data profile 1.csv --json")
    assert told.code == 1
    assert told.json["error"]["kind"] == "Internal"


@pytest.mark.parametrize(
    "line",
    [
        "data profile s.csv -o s.csv", "data profile s.csv --html ./s.csv",
        "data contract s.csv -o s.csv", "data compare 1.csv s.csv --html s.csv",
    ],
)  # fmt: skip
def test_rows_that_are_read_are_not_written_over(tidegate, tmp_path, line):
    for name in ("1.csv", "s.csv"):
        (tmp_path / name).write_text("a\n1\n2\n")
    told = tidegate(line)
    assert told.code == 2
    assert "s.csv would be written over" in told.err
    assert (tmp_path / "s.csv").read_text() == "a\n1\n2\n"


def test_a_column_without_numbers_has_no_mean(tidegate, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\nNA,1\nNA,2\n")
    shown = tidegate("data profile 1.csv").out.splitlines()
    assert next(line for line in shown if line.startswith("a")).split()[-3:] == ["-", "-", "-"]


def test_columns_that_look_like_markup_are_shown_once_escaped(shop, tmp_path):
    names = ["[red]x", "end\\", "y"]
    for seed, file in enumerate(("c.csv", "d.csv")):
        rng = np.random.default_rng(seed)
        drawn = rng.normal(5 * seed, 1, (2, 400))
        columns = [*drawn, rng.integers(0, 2, 400)]
        pl.DataFrame(dict(zip(names, columns, strict=True))).write_csv(tmp_path / file)
        assert shop(f"data add m {file}").code == 0
    for line in ("data profile c.csv", "data compare c.csv d.csv", "data drift m"):
        shown = shop(line).out
        for name in names[:2]:
            assert name in shown
            assert "\\[" not in shown
            assert "\\\\" not in shown


@pytest.fixture
def named(shop, tmp_path):
    """Two versions of parameters whose tensors have names that look like markup."""
    (tmp_path / "t.yaml").write_text("model: t\nadapter: tensors\n")
    assert shop("model apply t.yaml").code == 0
    for value in (1.0, 2.0):
        tensors = {name: np.full(2, value) for name in NAMES}
        save_file(tensors, tmp_path / "w.safetensors")
        assert shop(["params", "import", "t", "w.safetensors", "--reason", "[b]bold[/b]"]).code == 0
    return shop


NAMES = ["a[/x]", "head[weight]", "[red]x", "back\\[slash]", "end\\"]


@pytest.mark.parametrize("line", ["params show t@1", "params diff t@1 t@2"])
def test_names_are_shown_as_they_are(named, line):
    told = named(line)
    assert told.code == 0
    for name in NAMES:
        assert name in told.out


def test_names_of_columns_people_and_reasons_are_shown_as_they_are(named, tmp_path):
    assert "[b]bold[/b]" in named("params log t").out
    assert named(["people", "add", "a[/x]"]).code == 0
    assert "a[/x]" in named("people list").out
    names = ["head[weight]", "c[/x]", "y"]
    text = (tmp_path / "1.csv").read_text().split("\n", 1)[1]
    (tmp_path / "c.csv").write_text(",".join(names) + "\n" + text)
    for line in ("data profile c.csv", "data compare c.csv c.csv"):
        told = named(line)
        assert told.code == 0
        assert "head[weight]" in told.out
        assert "c[/x]" in told.out


@pytest.mark.parametrize("to", ["file", "pipe"])
def test_a_checkout_to_standard_output_is_the_file_and_nothing_else(named, tmp_path, to):
    command = [sys.executable, "-m", "tidegate.apps.cli", "params", "checkout", "t@2"]
    command += ["-o", "/dev/stdout"]
    if to == "file":
        with (tmp_path / "out").open("wb") as out:
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE)
    else:
        done = subprocess.run(command, capture_output=True)
        (tmp_path / "out").write_bytes(done.stdout)
    assert done.returncode == 0
    assert b"t@2 is in /dev/stdout" in done.stderr
    assert sorted(load_file(tmp_path / "out")) == sorted(NAMES)
    refused = subprocess.run([*command, "--json"], capture_output=True)
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["kind"] == "WrongUsage"


def test_parameters_that_do_not_fit_are_refused_with_three(named, tmp_path):
    assert named("approve t-1 --as wei").code == 0
    assert named("params show t@champion").code == 0
    save_file({"other": np.ones(2)}, tmp_path / "w.safetensors")
    told = named("params import t w.safetensors --reason x")
    assert told.code == 3
    assert "do not fit" in told.err


def test_importing_again_repairs_what_fsck_finds(named, tmp_path):
    for pack in (tmp_path / ".tidegate/objects/params/packs").rglob("0*"):
        if pack.is_file():  # a pack's folder is named at random, and may begin with 0 too
            pack.write_bytes(bytes(byte ^ 1 for byte in pack.read_bytes()))
    told = named("params fsck")
    assert told.code == 3
    assert named("params import t w.safetensors --reason same").code == 0
    assert named("params checkout t@3 -o out").code == 3
    assert "--repair" in named("params checkout t@3 -o out").err
    assert named("params import t w.safetensors --reason repair --repair").code == 0
    for version in ("t@2", "t@3", "t@4"):
        assert named(f"params checkout {version} -o out").code == 0


@pytest.mark.parametrize("line", ["params show t@{0}", "release rollback t --reason x --to {0}"])
def test_a_number_of_thousands_of_digits_is_wrong_usage(named, line):
    told = named(line.format("9" * 5000))
    assert told.code == 2
    assert "Traceback" not in told.err


def test_the_verdict_for_scripts(lived):
    assert lived("release verdict m --json").json["verdict"] == "hold"
    told = lived("release verdict m")
    assert (told.code, told.out.partition(":")[0]) == (0, "hold")
    back = lived('release rollback m --reason "no"')
    assert back.code == 0
    assert "m@2 was taken back; m@1 is in production" in back.out
    again = lived("release rollback m --reason no")
    assert again.code == 1
    assert "--to VERSION" in again.err
    told = lived("release verdict m --step 1 --lang zh")
    assert (told.code, told.out.strip()) == (3, "rollback: m@2: no")
    assert lived("release verdict m --version 1").code == 0


def test_the_deployment_log_in_a_file(lived, tmp_path):
    assert lived("docs m-2 --kind deployment --format html -o log.html").code == 0
    assert "m@2" in (tmp_path / "log.html").read_text("utf-8")


def test_a_port_that_is_taken_is_told_before_anything_begins(lived):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = lived(f"serve --port {taken.getsockname()[1]}")
    assert told.code == 1
    assert "choose another port with --port" in told.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("release rollback m", "缺少选项“--reason”"),
        ("release rollback m --reason", "选项“--reason”要带一个值"),
        ("release rollback m --reason x --to y", "“--to”的值不对：版本是一个编号，或 MODEL@编号"),
        ("release foo", "没有命令“foo”"),
        ("release status", "缺少参数“model”"),
        ("monitor m --window x", "“--window”的值不是整数"),
        ("monitor m --window 0", "“--window”的值不能小于 1"),
        ("monitor m --wndow 3", "没有选项 --wndow（也许是：--window）"),
        ("monitor m more", "多出来的参数：more"),
        ("docs m-1 --kind foo", "“foo”不能作“--kind”的值，请用其中之一：'record', 'deployment'"),
    ],
)
def test_wrong_usage_is_told_in_chinese(tidegate, line, told):
    found = tidegate(f"--lang zh {line}")
    assert (found.code, found.err.strip()) == (2, f"tidegate: {told}")
