"""The API as it describes itself: every operation, asked at random, answers as it says it does."""

import re
import shutil
from pathlib import Path

import pytest
import requests
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tidegate.apps.api import make_app
from tidegate.apps.api.description import gateways_part
from tidegate.apps.gateway.app import GatewayApp

#: Things that are there: each request is sent as it was drawn, and again with these in its path.
KNOWN = {"model": "m", "update": "m-2", "version": "m@2", "name": "wei"}


#: What it says of itself needs no workspace.
described = schemathesis.openapi.from_dict(
    TestClient(make_app(Path("nowhere"), hosts=frozenset({"testserver"})))
    .get("/openapi.json")
    .json()
)


@pytest.fixture(scope="module")
def asked(template, tmp_path_factory, listening):
    """Where it listens, and a connection; its model has versions in production and on traffic."""
    folder = tmp_path_factory.mktemp("described")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with listening(make_app(folder / ".tidegate")) as port, requests.Session() as session:
        yield {"base_url": f"http://127.0.0.1:{port}", "session": session, "timeout": 120}


@described.parametrize()
@settings(max_examples=20, derandomize=True, deadline=None)
def test_every_operation_answers_as_described(case, asked):
    # That a value fits its schema does not mean that it makes sense: 422 says why it does not.
    case.call_and_validate(**asked, excluded_checks=[positive_data_acceptance])
    if case.path_parameters:
        known = {name: KNOWN[name] for name in case.path_parameters}
        case.path_parameters.update(known)
        case.call_and_validate(**asked, excluded_checks=[positive_data_acceptance])


def test_the_gateway_is_described_as_it_answers():
    gateway = GatewayApp(lambda: pytest.fail("nobody asks"))
    told = {
        (path, method.upper()) for path, item in gateways_part()["paths"].items() for method in item
    }
    assert told == {
        (re.sub("NAME", "{model}", path), method)
        for path, methods in gateway._methods.items()
        for method in methods
    }


TENSORS = [
    {"name": name, "shape": [2], "datatype": "FP64", "data": [0.5, 1.5]} for name in ("a", "b")
]
ROWS = b"a,b,y\n" + b"".join(b"%d.5,%d,%d\n" % (n % 7, n % 5, n % 2) for n in range(60))


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("POST", "/v2/models/{model}/infer", {"body": {"inputs": TENSORS, "id": "one"}}),
        ("POST", "/v1/models/{model}/predict", {"body": {"rows": [{"a": 1, "b": 2}]}}),
        ("GET", "/v1/diff", {"query": {"old": "m@1", "new": "m@2"}}),
        ("PUT", "/v1/models", {"body": {"model": "other", "adapter": "tensors"}}),
        ("POST", "/v1/people", {"body": {"name": "new", "team": "data", "roles": []}}),
        ("POST", "/v1/models/{model}/data", {"query": {"name": "x.csv"}, "body": ROWS}),
    ],
)
def test_what_makes_sense_is_answered_as_described(asked, method, path, given):
    known = {name: KNOWN[name] for name in re.findall(r"{(\w+)}", path)}
    kind = "application/octet-stream" if isinstance(given.get("body"), bytes) else None
    case = described[path][method].Case(path_parameters=known, media_type=kind, **given)
    response = case.call_and_validate(**asked)
    assert response.status_code in (200, 201)


def test_a_version_that_answered_takes_its_feedback_as_described(asked):
    to = {"path_parameters": {"model": "m"}}
    predict = described["/v1/models/{model}/predict"]["POST"]
    told = predict.Case(body={"rows": [{"a": 1, "b": 2}]}, **to).call_and_validate(**asked).json()
    labels = {one["request_id"]: one["prediction"] for one in told["answers"]}
    feedback = described["/v1/models/{model}/feedback"]["POST"]
    kept = feedback.Case(body={"labels": labels}, **to).call_and_validate(**asked)
    assert (kept.status_code, kept.json()) == (200, {"labelled": 1})
