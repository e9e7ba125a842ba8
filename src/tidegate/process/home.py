"""Where a workspace lives: its folder, its configuration, and the rooms opened on it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.domain.errors import Forbidden, NotFound, WorkspaceError
from tidegate.domain.messages import Message
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Person, Role
from tidegate.ledger.journal import Journal, Reader
from tidegate.monitoring.prediction_log import PredictionLog
from tidegate.store.database import Database
from tidegate.store.objects import Objects

#: Format of ``workspace.json``; the database carries its own revision.
FORMAT = 2

#: Told what is being done, how much is done, and how much there is.
Progress = Callable[[Message, int, int], None]


def silent(_what: Message, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Home:
    """An open workspace. ``actor`` is who acts; ``progress`` is told of long work."""

    folder: Path
    actor: str
    database: Database
    journal: Journal
    objects: Objects
    log: PredictionLog
    progress: Progress = silent

    @classmethod
    def open(cls, folder: Path, actor: str | None = None, progress: Progress = silent) -> "Home":
        """The workspace in ``folder``; raises WorkspaceError where none is, or a newer one."""
        config = read_config(folder)
        database = Database.open(_database_url(folder, config["database"]))
        objects = Objects.open(_objects_url(folder, config["objects"]), **config.get("options", {}))
        return cls(
            folder=folder,
            actor=actor or config["owner"],
            database=database,
            journal=Journal(database),
            objects=objects,
            log=PredictionLog(database),
            progress=progress,
        )

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def require(self, reader: Reader, role: Role) -> Person:
        """The acting person; raises Forbidden unless they hold ``role``."""
        person = reader.get(Person, self.actor)
        if person is None or not person.active:
            raise Forbidden(
                "nobody called '{person}' is known in this workspace",
                do="have an administrator add them: tidegate people add {person} --role {role}",
                person=self.actor,
                role=role,
            )
        if not person.may(role):
            raise Forbidden(
                "{person} is {roles}, and this takes the role {role}",
                do="act as someone who holds it (--as NAME, over HTTP the header Tidegate-User), "
                "or have an administrator grant it",
                person=self.actor,
                roles=[str(r) for r in person.roles] or ["-"],
                role=role,
            )
        return person

    def spec(self, reader: Reader, model: str) -> ModelSpec:
        """The model as declared; raises NotFound naming those that are."""
        spec = reader.get(ModelSpec, model)
        if spec is None:
            known = [known.model for known in reader.all(ModelSpec)]
            raise NotFound(
                "there is no model '{model}' in this workspace",
                do="declare it with: tidegate model apply FILE.yaml (known: {known})",
                model=model,
                known=known or ["-"],
            )
        return spec


def make_home(
    folder: Path, *, database: str, objects: str, options: dict[str, Any], owner: Person
) -> None:
    """A new workspace with ``owner`` in it; raises WorkspaceError where one exists.

    The configuration is written last: killed before that, there is no workspace, and making it
    again goes on from what is there.
    """
    path = folder / "workspace.json"
    if path.exists():
        raise WorkspaceError(
            "{folder} is a workspace already",
            do="use it with --workspace {folder}, or name another folder",
            folder=folder,
        )
    folder.mkdir(parents=True, exist_ok=True)
    Objects.open(_objects_url(folder, objects), **options)
    rows = Database.open(_database_url(folder, database), create=True)
    try:
        with Journal(rows).write(owner.name) as tx:
            if tx.get(Person, owner.name) is None:
                tx.put(owner, "workspace.made")
    finally:
        rows.close()
    config = {
        "format": FORMAT,
        "owner": owner.name,
        "database": database,
        "objects": objects,
        "options": options,
    }
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the workspace in ``folder``."""
    path = folder / "workspace.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        version, _ = int(config["format"]), (config["database"], config["objects"])
    except FileNotFoundError:
        if (folder / ".tidegate" / "workspace.json").exists():
            raise WorkspaceError(
                "there is no workspace in {folder}",
                do="did you mean {folder}/.tidegate?",
                folder=folder,
            ) from None
        raise WorkspaceError(
            "there is no workspace in {folder}",
            do="make one with: tidegate init, or name one with --workspace or $TIDEGATE_HOME",
            folder=folder,
        ) from None
    except (ValueError, KeyError, TypeError):
        raise WorkspaceError(
            "{path} cannot be read as a workspace's configuration",
            do="restore it from a backup",
            path=path,
        ) from None
    if version > FORMAT:
        raise WorkspaceError(
            "the workspace in {folder} was made by a newer Tidegate (format {found}, not {known})",
            do="upgrade Tidegate; nothing was changed",
            folder=folder,
            found=version,
            known=FORMAT,
        )
    if version < FORMAT:
        raise WorkspaceError(
            "the workspace in {folder} was made before the first release of Tidegate "
            "(format {found}, not {known})",
            do="make a new one with: tidegate init; nothing was changed",
            folder=folder,
            found=version,
            known=FORMAT,
        )
    return dict(config)


def _database_url(folder: Path, url: str) -> str:
    return url if "://" in url else f"sqlite:///{(folder / url).resolve()}"


def _objects_url(folder: Path, url: str) -> str:
    return url if "://" in url else str((folder / url).resolve())
