"""The manifests of examples/kubernetes against the application: what they name is there, and what
Argo Rollouts would make of its answers is what is meant."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from fastapi.testclient import TestClient

from tidegate import Workspace
from tidegate.apps.api import make_app
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Role
from tidegate.domain.stage import Team
from tidegate.domain.update import Outcome

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes"
README = (FOLDER / "README.md").read_text("utf-8")
DOCUMENTS = [
    document
    for file in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text("utf-8"))
]


def named(kind, name=None):
    (found,) = [
        d for d in DOCUMENTS
        if d["kind"] == kind and name in (None, d["metadata"]["name"])
    ]  # fmt: skip
    return found


def model_file():
    """The model file that the README shows."""
    (shown,) = re.findall(r"```yaml\n(model: .*?)```", README, re.DOTALL)
    return yaml.safe_load(shown)


CANARY = named("Rollout")["spec"]["strategy"]["canary"]
METRIC = named("AnalysisTemplate")["spec"]["metrics"][0]
PROXY = named("ConfigMap")["data"]["default.conf.template"]
PODS = [named("Rollout")["spec"]["template"]["spec"], named("ServingRuntime")["spec"]]


def arm(side):
    """The header that the mesh sets on the way to the stable, or the canary, service."""
    (route,) = named("VirtualService")["spec"]["http"]
    (found,) = [
        r["headers"]["request"]["set"] for r in route["route"]
        if r["destination"]["host"] == CANARY[f"{side}Service"]
    ]  # fmt: skip
    return found


def measured(client, **args):
    """What a measurement of the analysis is, as Argo Rollouts' web provider takes it."""
    web = METRIC["provider"]["web"]
    url = web["url"]
    for name, value in args.items():
        url = url.replace("{{args." + name + "}}", value)
    assert "{{" not in url
    answer = client.get(re.sub("^http://[^/]+", "", url))
    assert answer.status_code == 200, answer.text
    (field,) = re.fullmatch(r"\{\$\.(\w+)\}", web["jsonPath"]).groups()
    result = answer.json()[field]
    good, bad = (
        eval(METRIC[f"{which}Condition"], {"result": result}) for which in ("success", "failure")
    )
    assert not (good and bad)
    return "Successful" if good else "Failed" if bad else "Inconclusive"


# The manifests among themselves


def test_every_name_that_a_manifest_uses_is_one_that_another_gives():
    services = {d["metadata"]["name"] for d in DOCUMENTS if d["kind"] == "Service"}
    assert {CANARY["stableService"], CANARY["canaryService"]} == services
    routing = CANARY["trafficRouting"]["istio"]["virtualService"]
    service = named("VirtualService")
    assert routing["name"] == service["metadata"]["name"]
    assert routing["routes"] == [route["name"] for route in service["spec"]["http"]]
    for step in CANARY["steps"][1::2]:
        (template,) = step["analysis"]["templates"]
        asked = named("AnalysisTemplate", template["templateName"])["spec"]["args"]
        given = {arg["name"] for arg in step["analysis"]["args"]}
        assert given == {arg["name"] for arg in asked if "valueFrom" not in arg}
    host = re.match("http://([^/]+)/", METRIC["provider"]["web"]["url"])[1]
    assert host.split(".")[:2] == [CANARY["stableService"], "models"]
    for each in (d for d in DOCUMENTS if d["kind"] == "InferenceService"):
        assert (
            each["spec"]["predictor"]["model"]["runtime"]
            == named("ServingRuntime")["metadata"]["name"]
        )
    assert {d["metadata"]["namespace"] for d in DOCUMENTS} == {"models"}


@pytest.mark.parametrize("pod", PODS, ids=["rollout", "kserve"])
def test_requests_find_their_way_through_the_pod(pod):
    """Service to proxy to gateway, and the one port is the proxy's."""
    proxy, gateway = pod["containers"]
    (port,) = [one["containerPort"] for one in proxy["ports"]]
    assert f"listen {port};" in PROXY
    assert "ports" not in gateway
    served = gateway["args"][gateway["args"].index("--port") + 1]
    assert f"server 127.0.0.1:{served};" in PROXY
    for each in (d for d in DOCUMENTS if d["kind"] == "Service"):
        assert [one["targetPort"] for one in each["spec"]["ports"]] == [port]
    assert proxy["readinessProbe"]["httpGet"]["port"] == port
    filled = set(re.findall(r"\$\{(\w+)\}", PROXY))
    assert filled == {one["name"] for one in proxy["env"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_gateway_of_a_pod_starts_with_these_arguments(tidegate):
    for pod in PODS:
        (mount,) = pod["containers"][1]["volumeMounts"]
        args = pod["containers"][1]["args"]
        assert mount["mountPath"] in args
        told = tidegate([one.replace(mount["mountPath"], "nowhere") for one in args])
        assert told.code == 1  # they are understood; there is no workspace
        assert "there is no workspace in nowhere" in told.err


def test_the_weights_are_the_steps_of_the_policy_that_the_readme_shows():
    rollout = ModelSpec.model_validate(model_file()).policy.rollout
    assert rollout.splitter == "outside"
    weights = [step["setWeight"] / 100 for step in CANARY["steps"][::2]]
    assert weights == [step.share for step in rollout.steps]
    asked = [
        {arg["name"]: arg["value"] for arg in step["analysis"]["args"]}
        for step in CANARY["steps"][1::2]
    ]
    assert [one["step"] for one in asked] == ["1", "2"]
    version = named("Rollout")["spec"]["template"]["metadata"]["annotations"]["tidegate/version"]
    assert {(one["model"], one["version"]) for one in asked} == {("electricity", version)}


def test_both_readmes_show_the_same_files_and_the_same_model():
    chinese = (FOLDER / "README.zh-CN.md").read_text("utf-8")
    shown = [re.findall(r"```(?:sh|yaml|dockerfile)\n(.*?)```", text, re.DOTALL)
             for text in (README, chinese)]  # fmt: skip
    plain = [[re.sub(r" *#.*", "", block) for block in blocks] for blocks in shown]
    assert plain[0] == plain[1] != []


# The manifests and the application


def rows(seed, count=200):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    return pl.DataFrame({"a": rng.normal(2 * y, 1), "b": rng.normal(-2 * y, 1), "class": y})


@pytest.fixture
def release(tmp_path):
    """A workspace as the README makes it, with a second version approved, and its folder."""
    declared = model_file()
    for step in declared["policy"]["rollout"]["steps"]:
        step["min_labels"] = 40
    with Workspace.init(tmp_path / "ws", actor="ada") as ws, ws.acting_as("wei") as wei:
        ws.change_person("ada", roles=[Role.ADMIN, Role.PROPOSER])
        ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        ws.add_person("gateway", Team.ENGINEERING, [Role.VIEWER])
        ws.apply_model({**declared, "adapter": "sklearn.logistic_regression"})
        for number in (1, 2):
            rows(number).write_csv(tmp_path / f"{number}.csv")
            snapshot = ws.add_data("electricity", [tmp_path / f"{number}.csv"]).snapshot
            update = ws.start_update("electricity", data=snapshot.id, reason="file")
            update = wei.approve(update.id)
        yield ws, update


@pytest.fixture
def app(release):
    ws, _ = release
    made = make_app(ws.home.folder, "gateway", hosts=frozenset({"localhost"}))
    with TestClient(made, "http://localhost") as client:
        yield client


def traffic(client, weight, *, wrong=None, count=120, seed=0, told=True):
    """Requests as the mesh sends them; each is labelled, those of the arm ``wrong`` as wrong."""
    rng, labels = np.random.default_rng(seed), {}
    for row in rows(seed + 50, count).drop("class").to_dicts():
        side = "canary" if rng.random() < weight else "stable"
        answer = client.post(
            "/v1/models/electricity/predict", json={"rows": [row]}, headers=arm(side)
        )
        assert answer.status_code == 200, answer.text
        (said,) = answer.json()["answers"]
        bad = rng.random() < (0.8 if side == wrong else 0.1)
        labels[said["request_id"]] = 1 - said["prediction"] if bad else said["prediction"]
        yield side, said["version"]
    if told:
        said = client.post("/v1/models/electricity/feedback", json={"labels": labels})
        assert said.status_code == 200


STEPS = [{"model": "electricity", "version": "2", "step": step} for step in ("1", "2")]


def test_argo_goes_on_step_by_step_when_the_verdict_is_promote(app, release):
    assert measured(app, **STEPS[0]) == "Inconclusive"
    answered = dict.fromkeys(traffic(app, 0.1))
    assert set(answered) == {("stable", 1), ("canary", 2)}
    assert [measured(app, **step) for step in STEPS] == ["Successful", "Inconclusive"]
    list(traffic(app, 0.5, seed=1))
    assert [measured(app, **step) for step in STEPS] == ["Successful", "Successful"]
    # The mesh goes on sending to both sides until Argo has moved on: nobody notices.
    assert {version for _, version in traffic(app, 0.5, seed=2)} == {2}
    ws, _ = release
    assert ws.deployment("electricity").champion == 2


def test_argo_aborts_when_the_verdict_is_rollback(app, release):
    ws, update = release
    for seed in range(10):
        list(traffic(app, 0.5, wrong="canary", seed=seed))
        if ws.update(update.id).outcome is not None:
            break
    assert ws.update(update.id).outcome is Outcome.ROLLED_BACK
    assert [measured(app, **step) for step in STEPS] == ["Failed", "Failed"]
    # Argo has not heard of it yet: the canary's requests are answered by the champion.
    assert {version for _, version in traffic(app, 0.5, seed=20)} == {1}
    ours, theirs = ws.deployment("electricity").release.tallies[0].matched
    assert ours > theirs


def test_labels_that_have_not_come_make_argo_wait_and_not_fail(app):
    list(traffic(app, 0.5, told=False))
    assert [measured(app, **step) for step in STEPS] == ["Inconclusive", "Inconclusive"]


def test_whoever_counts_anew_finds_the_same_pairs(app, release):
    """The gateway counts as labels come; another process reads them all, from the beginning."""
    ws, _ = release
    for seed in range(3):
        list(traffic(app, 0.3, seed=seed))
        with Workspace(ws.home.folder) as other:
            anew = other.deployment_now("electricity").release.tallies
        told = app.get("/v1/models/electricity/release").json()["release"]["tallies"]
        assert [tally["matched"] for tally in told] == [
            None if tally.matched is None else list(tally.matched) for tally in anew
        ]
    assert sum(anew[0].matched) > 0


def test_the_word_on_another_version_is_not_taken_for_this_one(app, release):
    ws, update = release
    for seed in range(10):
        list(traffic(app, 0.5, wrong="canary", seed=seed))
    assert ws.update(update.id).outcome is Outcome.ROLLED_BACK
    assert measured(app, model="electricity", version="3", step="1") == "Inconclusive"


def test_probes_and_the_fields_of_the_verdict_are_there(app):
    for pod in PODS:
        assert app.get(pod["containers"][0]["readinessProbe"]["httpGet"]["path"]).status_code == 200
    told = app.get("/v1/models/electricity/release/verdict").json()
    shown = re.findall(r"^\| `(\w+)`", README, re.MULTILINE)
    assert sorted(shown) == sorted(told)
