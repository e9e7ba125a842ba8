"""A workspace: every command of the program as a method."""

import getpass
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.domain.messages import Message
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Person, Role
from tidegate.domain.rollout import Deployment
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.stage import Team
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Update
from tidegate.domain.version import Manifest, Version
from tidegate.governance import people
from tidegate.ledger.verify import Report
from tidegate.monitoring.gateways import Running, running
from tidegate.monitoring.prediction_log import Keeps
from tidegate.params.fsck import Damage
from tidegate.params.gc import Freed
from tidegate.params.proof import Proof
from tidegate.params.rows import TensorDiff
from tidegate.process import (
    auditing,
    drifting,
    intake,
    models,
    parameters,
    records,
    released,
    releases,
    reproducing,
    updates,
    watching,
)
from tidegate.process.history import find_snapshot
from tidegate.process.home import Home, Progress, make_home, silent
from tidegate.process.progress import progress
from tidegate.process.runner import Watcher, find_update, run, withdraw
from tidegate.process.serving import Serving
from tidegate.process.stages.release import current
from tidegate.release.verdict import ReleaseVerdict


def default_folder() -> Path:
    """``$TIDEGATE_HOME``, else ``./.tidegate``."""
    return Path(os.environ.get("TIDEGATE_HOME") or ".tidegate")


class Workspace:
    """Everything Tidegate does, on one workspace, in one person's name.

    ``folder``: defaults to ``$TIDEGATE_HOME``, then ``./.tidegate``. ``actor``: who acts;
    defaults to ``$TIDEGATE_USER``, then to whoever made the workspace. Methods raise
    ``TidegateError``; one that raises leaves the workspace as it was.

    >>> import tempfile
    >>> with Workspace.init(tempfile.mkdtemp(), actor="ada") as ws:
    ...     [person.name for person in ws.people()]
    ['ada']
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        actor: str | None = None,
        progress: Progress = silent,
        watch: Watcher | None = None,
    ):
        at = Path(folder) if folder is not None else default_folder()
        actor = actor or os.environ.get("TIDEGATE_USER") or None
        self.home = Home.open(at, actor, progress)
        self._watch = watch

    @classmethod
    def init(
        cls,
        folder: str | Path | None = None,
        *,
        actor: str | None = None,
        database: str = "tidegate.sqlite",
        objects: str = "objects",
        options: Mapping[str, Any] | None = None,
    ) -> "Workspace":
        """A new workspace, whose maker is its first administrator.

        ``database`` and ``objects`` are URLs, or paths within the folder; ``options`` go to the
        object store (an S3 endpoint, say).
        """
        at = Path(folder) if folder is not None else default_folder()
        owner = actor or os.environ.get("TIDEGATE_USER") or getpass.getuser()
        maker = people.new_person(owner, Team.ENGINEERING, [Role.ADMIN])
        make_home(at, database=database, objects=objects, options=dict(options or {}), owner=maker)
        return cls(at, actor=owner)

    def acting_as(self, actor: str) -> "Workspace":
        """The same workspace in another person's name."""
        return Workspace(
            self.home.folder, actor=actor, progress=self.home.progress, watch=self._watch
        )

    def close(self) -> None:
        """Let go of the database."""
        self.home.close()

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # People

    def people(self) -> list[Person]:
        """Everyone known here."""
        with self.home.journal.read() as reader:
            return reader.all(Person)

    def add_person(self, name: str, team: Team, roles: Sequence[Role]) -> Person:
        """A new person; takes the role admin."""
        with self.home.journal.write(self.home.actor) as tx:
            self.home.require(tx, Role.ADMIN)
            return people.add_person(tx, name, team, roles)

    def change_person(
        self,
        name: str,
        *,
        team: Team | None = None,
        roles: Sequence[Role] | None = None,
        active: bool | None = None,
    ) -> Person:
        """A person with another team, other roles, or switched off; takes the role admin."""
        with self.home.journal.write(self.home.actor) as tx:
            self.home.require(tx, Role.ADMIN)
            return people.change_person(tx, name, team=team, roles=roles, active=active)

    # Models and data

    def apply_model(self, source: str | Path | Mapping[str, Any]) -> tuple[ModelSpec, bool]:
        """Declare or change a model from a YAML file or a mapping; and whether it changed."""
        if isinstance(source, Mapping):
            spec = models.parse_model(dict(source))
        else:
            spec = models.read_model_file(Path(source))
        return models.apply_model(self.home, spec)

    def models(self) -> list[ModelSpec]:
        """The models declared here."""
        with self.home.journal.read() as reader:
            return reader.all(ModelSpec)

    def model(self, name: str) -> ModelSpec:
        """A model as declared, every default filled in."""
        with self.home.journal.read() as reader:
            return self.home.spec(reader, name)

    def contract(self, model: str) -> str:
        """The contract in force, as YAML to edit and put under ``contract:`` in the model file."""
        return intake.contract_text(self.home, model)

    def add_data(
        self,
        model: str,
        given: Any,
        *,
        licence: str | None = None,
        sensitivity: str | None = None,
        parents: Sequence[str] = (),
    ) -> intake.Arrival:
        """An immutable snapshot, and what prepare would say of it.

        ``given``: files or folders of CSV, JSON lines or Parquet, an Arrow table, a pandas or
        polars frame, or a ``Source`` such as ``sql_source`` gives. ``sensitivity`` is ``public``,
        ``internal``, ``confidential`` or ``personal``; ``parents`` are snapshots that this one
        was derived from or follows.
        """
        return intake.add_data(
            self.home, model, given, licence=licence, sensitivity=sensitivity, parents=parents
        )

    def snapshots(self, model: str) -> list[Snapshot]:
        """The snapshots of a model, in the order they came."""
        with self.home.journal.read() as reader:
            self.home.spec(reader, model)
            return reader.all(Snapshot, model)

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """One snapshot: schema, rows, times, source, labels and lineage."""
        with self.home.journal.read() as reader:
            return find_snapshot(reader, snapshot_id)

    # Updates

    def start_update(
        self, model: str, *, data: str, reason: str, strategy: str | Strategy = "auto"
    ) -> Update:
        """A new case file for a snapshot, run as far as it goes."""
        opened = self.open_update(model, data=data, reason=reason, strategy=strategy)
        return run(self.home, opened.id, self._watch)

    def open_update(
        self, model: str, *, data: str, reason: str, strategy: str | Strategy = "auto"
    ) -> Update:
        """A new case file that is not run yet."""
        return updates.open_update(
            self.home, model, reason=reason, snapshot=data, requested=str(strategy)
        )

    def updates(self, model: str | None = None) -> list[Update]:
        """Case files, in the order they were opened."""
        with self.home.journal.read() as reader:
            if model is not None:
                self.home.spec(reader, model)
            return reader.all(Update, model)

    def open_updates(self, model: str) -> list[Update]:
        """Case files of a model that have not ended."""
        return updates.open_updates(self.home, model)

    def update(self, update_id: str) -> Update:
        """One case file."""
        return find_update(self.home, update_id)

    def resume(self, update_id: str) -> Update:
        """The case file, run on from where it stands."""
        self._require(Role.PROPOSER)
        return run(self.home, update_id, self._watch)

    def withdraw(self, update_id: str, reason: str) -> Update:
        """End a case file that is not yet on traffic."""
        self._require(Role.PROPOSER)
        return withdraw(self.home, update_id, reason)

    def approve(self, update_id: str, comment: str = "") -> Update:
        """Sign the case file as it stands, and run on."""
        return run(self.home, updates.approve(self.home, update_id, comment).id, self._watch)

    def reject(self, update_id: str, reason: str) -> Update:
        """Refuse the case file, which ends it."""
        return run(self.home, updates.reject(self.home, update_id, reason).id, self._watch)

    def replay(self, update_id: str) -> list[auditing.Replayed]:
        """Every verdict derived again from the record."""
        return auditing.replay(self.home, self.update(update_id))

    def reproduce(self, update_id: str) -> reproducing.Reproduced:
        """The training run again from the record, and whether the same parameters came out."""
        return reproducing.reproduce(self.home, self.update(update_id))

    def drift(self, model: str, reference: str | None = None) -> drifting.History:
        """How every later snapshot differs from ``reference``, else from what was learned last."""
        return drifting.drift_history(self.home, model, reference)

    # Parameters

    def log(self, model: str) -> list[parameters.Logged]:
        """The versions of a model, newest first."""
        return parameters.log(self.home, model)

    def stored_bytes(self, name: str) -> int:
        """The bytes that ``MODEL@V`` added to what was stored before it."""
        return parameters.stored_bytes(self.home, name)

    def version(self, name: str) -> tuple[Version, Manifest]:
        """``MODEL@V`` and its tensors."""
        return parameters.show(self.home, name)

    def diff(self, old: str, new: str) -> list[TensorDiff]:
        """What changed between two versions, tensor by tensor."""
        return parameters.compare(self.home, old, new)

    def import_params(
        self,
        model: str,
        file: str | Path,
        *,
        reason: str,
        allow_nonfinite: bool = False,
        allow_other_structure: bool = False,
        repair: bool = False,
    ) -> Update:
        """A case file for parameters from a safetensors file, run as far as it goes.

        ``file`` may be the index of a model in several files. Raises Incompatible where the
        tensors are not those of the version in production, unless ``allow_other_structure``.
        ``repair`` reads what is stored already, and stores anew what is damaged of it.
        """
        update = parameters.bring_in(
            self.home,
            model,
            Path(file),
            reason,
            allow_nonfinite=allow_nonfinite,
            allow_other_structure=allow_other_structure,
            repair=repair,
        )
        return run(self.home, update.id, self._watch)

    def checkout(self, name: str, out: str | Path, tensors: Sequence[str] | None = None) -> int:
        """Write a version to a safetensors file, exactly; gives the bytes written."""
        return parameters.checkout(self.home, name, Path(out), tensors)

    def prove(self, name: str, tensors: Sequence[str] | None = None) -> Proof:
        """That a version, or the named tensors of it, hash to the version's id."""
        return parameters.proof_of(self.home, name, tensors)

    def fsck(self) -> list[Damage]:
        """Every damaged or missing byte of every version."""
        return parameters.check(self.home)

    def gc(self, grace_seconds: float = 3600) -> Freed:
        """Free parameters that nothing refers to, unless younger than the grace period."""
        return parameters.collect(self.home, grace_seconds)

    # Release

    def deployment(self, model: str) -> Deployment:
        """What is in production for a model, and its release."""
        self.model(model)
        return current(self.home, model)

    def deployment_now(self, model: str) -> Deployment:
        """As ``deployment``, with the canary's tallies counted up to the newest label."""
        self.model(model)
        return released.deployment_now(self.home, model)

    def progress(self, deployment: Deployment) -> list[Message]:
        """How far what its release waits for has come; ``deployment``: of ``deployment_now``."""
        return progress(self.home, deployment)

    def verdict(
        self, model: str, *, step: int | None = None, version: int | None = None
    ) -> ReleaseVerdict:
        """The release in one word, for whoever steers traffic from outside.

        ``step``, from 1: whether that step may be left; ``version``: whose release is meant.
        """
        return released.verdict_now(self.home, self.model(model), step, version)

    def gateways(self, model: str) -> list[Running]:
        """The gateways that run, and what each says of versions of this model."""
        self.model(model)
        return released.gateways_of(self.home, model)

    def promote(self, model: str, *, step: bool = False) -> Update:
        """End the canary, or the observation, by hand; ``step`` only lets the next step begin."""
        by_hand = releases.clear_step if step else releases.promote
        return run(self.home, by_hand(self.home, model), self._watch)

    def rollback(self, model: str, *, reason: str, to: int | None = None) -> releases.RolledBack:
        """Take the candidate off traffic, or go back to an earlier version.

        Returns when every gateway that ran routes by it; raises Conflict where one does not within
        ``releases.CONFIRM_SECONDS``.
        """
        back = releases.roll_back(self.home, model, reason, to)
        ran = [gateway.name for gateway in running(self.home.database)]
        try:
            releases.confirm(self.home, model, ran)  # first: the rest takes what gateways need
        finally:
            if back.update is not None:
                run(self.home, back.update, self._watch)
        found = current(self.home, model)
        return releases.RolledBack(**dict(found), taken_back=back.taken_back)

    def serving(self, *, judges: bool = True, log: Keeps | None = None) -> Serving:
        """A gateway in this process; unless it ``judges``, another one does. ``log`` keeps answers
        and labels; without it, this process does."""
        return Serving(self.home, self._watch, judges=judges, log=log)

    def monitor(self, model: str, window_rows: int = 200) -> watching.Report:
        """Windows of live metrics, and what would trigger the next update."""
        return watching.monitor(self.home, model, window_rows)

    # The record

    def verify(self) -> Report:
        """The whole record checked."""
        return auditing.verify_all(self.home)

    def document(
        self, update_id: str, lang: str = "en", kind: str = "record", form: str = "md"
    ) -> str:
        """An update's ``record``, or the ``deployment`` log of its release; ``md`` or ``html``."""
        update = self.update(update_id)
        kinds, forms = records.Kind(kind), records.Format(form)
        return records.document(self.home, update, kinds, forms, lang)

    def describe(self, update: Update) -> Message:
        """Where an update stands, in a sentence."""
        return updates.describe(self.home, update)

    def _require(self, role: Role) -> None:
        with self.home.journal.read() as reader:
            self.home.require(reader, role)
