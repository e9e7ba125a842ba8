"""The proxy of examples/kubernetes, in nginx, in front of a gateway."""

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml

from tidegate.apps.api import make_app

MANIFEST = Path(__file__).parents[2] / "examples" / "kubernetes" / "proxy.yaml"
PROXY = yaml.safe_load(MANIFEST.read_text("utf-8"))["data"]["default.conf.template"]
TOKEN = "secret"


@pytest.fixture
def proxied(template, tmp_path, request):
    """nginx with the ConfigMap's configuration in front of a gateway; the pod's arm as a param."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed here")
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    server = uvicorn.Server(
        uvicorn.Config(make_app(tmp_path / ".tidegate", "ada"), port=0, log_level="critical")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    behind = server.servers[0].sockets[0].getsockname()[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = PROXY.replace("8350", str(behind)).replace("listen 8080", f"listen 127.0.0.1:{port}")
    text = text.replace("${TIDEGATE_TOKEN}", TOKEN).replace("${TIDEGATE_ARM}", request.param)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}}}\n"
    )
    with subprocess.Popen(
        [program, "-p", tmp_path, "-e", tmp_path / "log", "-c", tmp_path / "nginx.conf"]
    ) as nginx:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert nginx.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
        nginx.terminate()
    server.should_exit = True
    thread.join(10)


KNOWN = {"Authorization": f"Bearer {TOKEN}"}
ASKED = {"rows": [{"a": 0.5, "b": -0.5}]}
PREDICT = "/v1/models/m/predict"


@pytest.mark.parametrize("proxied", [""], indirect=True)
def test_the_proxy_lets_through_what_it_names_and_to_whoever_has_the_token(proxied):
    assert proxied.get("/v2/health/ready").status_code == 200
    verdict = "/v1/models/m/release/verdict?version=2&step=1"
    for path in (verdict, "/metrics", "/v2/models/m", "/v2/models/m/ready"):
        assert proxied.get(path).status_code == 401
        assert proxied.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert proxied.get(path, headers=KNOWN).status_code == 200
    assert proxied.get(verdict, headers=KNOWN).json()["verdict"] == "hold"
    assert proxied.post(PREDICT, json=ASKED).status_code == 401
    for side, version in (("champion", 1), ("candidate", 2)):
        said = proxied.post(PREDICT, json=ASKED, headers=KNOWN | {"Tidegate-Arm": side})
        assert said.headers["tidegate-version"] == f"m@{version}"


@pytest.mark.parametrize("proxied", [""], indirect=True)
@pytest.mark.parametrize(
    "path",
    ["/v1/people", "/v1/models", "/v1/updates/m-2/approve", "/openapi.json",
     "/v1/models/m/release/rollback", "/v1/models/m/release",
     "/v1/models/m/../../people", "/v1/models/x/feedback/../../../people"],
)  # fmt: skip
def test_the_proxy_hides_the_rest_of_the_api(proxied, path):
    named_as = KNOWN | {"Tidegate-User": "ada"}
    for method in ("GET", "POST"):
        assert proxied.request(method, path, headers=named_as).status_code == 404


@pytest.mark.parametrize(("proxied", "version"), [("candidate", 2), ("champion", 1)],
                         indirect=["proxied"])  # fmt: skip
def test_a_pods_own_arm_goes_before_the_requests(proxied, version):
    for asked in ({}, {"Tidegate-Arm": "champion"}, {"Tidegate-Arm": "candidate"}):
        said = proxied.post(PREDICT, json=ASKED, headers=KNOWN | asked)
        assert said.headers["tidegate-version"] == f"m@{version}"
