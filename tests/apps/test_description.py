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
        yield {"base_url": f"http://127.0.0.1:{port}", "session": session}


@described.parametrize()
@settings(max_examples=30, derandomize=True, deadline=None)
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
        (path, method.upper())
        for path, item in gateways_part()["paths"].items()
        for method in item.keys() - {"parameters"}
    }
    assert told == {
        (re.sub("NAME", "{model}", path), method)
        for path, methods in gateway._methods.items()
        for method in methods
    }
