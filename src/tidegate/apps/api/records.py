"""Routes on models, updates, versions, releases, people and the record."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import StrictBool, StrictInt

from tidegate.apps.api.hub import Hub
from tidegate.apps.cli.session import plain
from tidegate.domain.messages import Frozen
from tidegate.domain.people import Role
from tidegate.domain.stage import Team
from tidegate.domain.update import Update
from tidegate.process.records import Format, Kind
from tidegate.process.workspace import Workspace

router = APIRouter(prefix="/v1")


def hub_of(request: Request) -> Hub:
    """The hub behind the application."""
    hub: Hub = request.app.state.hub
    return hub


def workspace(
    request: Request, tidegate_user: Annotated[str | None, Header()] = None
) -> Iterator[Workspace]:
    """The workspace in the caller's name."""
    with hub_of(request).acting(tidegate_user) as opened:
        yield opened


Acting = Annotated[Workspace, Depends(workspace)]


class NewUpdate(Frozen):
    """A case file to open; ``wait``: run it as far as it goes before answering."""

    model: str
    data: str
    reason: str
    strategy: str = "auto"
    wait: StrictBool = True


class Comment(Frozen):
    """Why, or a remark."""

    reason: str = ""


class Rollback(Frozen):
    """Why, and to which version, where not simply back."""

    reason: str
    to: StrictInt | None = None


class NewPerson(Frozen):
    """Someone new."""

    name: str
    team: Team
    roles: list[Role]


class PersonChange(Frozen):
    """What changes; what is not named stays."""

    team: Team | None = None
    roles: list[Role] | None = None
    active: StrictBool | None = None


def standing(ws: Workspace, update: Update) -> dict[str, Any]:
    """An update and where it stands, in a sentence."""
    document: dict[str, Any] = plain(update)
    reason = ws.describe(update).text()
    return {"update": update.id, **document, "case_digest": update.case_digest, "standing": reason}


@router.get("/models")
def models(ws: Acting) -> dict[str, Any]:
    """The models declared here."""
    return {"models": plain(ws.models())}


@router.put("/models")
def apply_model(ws: Acting, declared: dict[str, Any]) -> dict[str, Any]:
    """Declare a model, or change it; the same declaration again changes nothing."""
    spec, changed = ws.apply_model(declared)
    return {"model": plain(spec), "changed": changed}


@router.get("/models/{model}")
def model(ws: Acting, model: str) -> Any:
    """A model as declared, every default filled in."""
    return plain(ws.model(model))


@router.get("/models/{model}/contract", response_class=PlainTextResponse)
def contract(ws: Acting, model: str) -> str:
    """The contract in force, as YAML."""
    return ws.contract(model)


@router.get("/models/{model}/drift")
def drift(ws: Acting, model: str, reference: str | None = None) -> Any:
    """How a model's data moved, snapshot by snapshot, since ``reference`` or what was learned."""
    return plain(ws.drift(model, reference).summary())


@router.get("/models/{model}/versions")
def versions(ws: Acting, model: str) -> dict[str, Any]:
    """The versions of a model, newest first."""
    return {"model": model, "versions": plain(ws.log(model))}


@router.get("/models/{model}/release")
def release(ws: Acting, model: str) -> Any:
    """What is in production, and its release, counted up to the newest label."""
    deployment = ws.deployment_now(model)
    return {
        **plain(deployment),
        "progress": plain(ws.progress(deployment)),
        "gateways": plain(ws.gateways(model)),
    }


@router.get("/models/{model}/release/verdict")
def verdict(
    ws: Acting,
    model: str,
    step: Annotated[int | None, Query(ge=1)] = None,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> Any:
    """The release in one word, for outside controllers: promote, hold or rollback."""
    return plain(ws.verdict(model, step=step, version=version))


@router.post("/models/{model}/release/promote")
def promote(ws: Acting, model: str) -> dict[str, Any]:
    """End the canary, or the observation, by hand."""
    return standing(ws, ws.promote(model))


@router.post("/models/{model}/release/rollback")
def rollback(ws: Acting, model: str, asked: Rollback) -> Any:
    """Take the candidate off traffic, or go back to an earlier version."""
    return plain(ws.rollback(model, reason=asked.reason, to=asked.to))


@router.get("/models/{model}/monitor")
def monitor(ws: Acting, model: str, window: Annotated[int, Query(ge=1, le=1_000_000)] = 200) -> Any:
    """Windows of live metrics."""
    return plain(ws.monitor(model, window))


@router.get("/updates")
def updates(ws: Acting, model: str | None = None) -> dict[str, Any]:
    """Case files, in the order they were opened."""
    return {"updates": [standing(ws, update) for update in ws.updates(model)]}


@router.post("/updates", status_code=201)
def start(ws: Acting, new: NewUpdate) -> dict[str, Any]:
    """Open a case file and run it as far as it goes."""
    begin = ws.start_update if new.wait else ws.open_update
    update = begin(new.model, data=new.data, reason=new.reason, strategy=new.strategy)
    return standing(ws, update)


@router.get("/updates/{update}")
def update(ws: Acting, update: str) -> dict[str, Any]:
    """One case file."""
    return standing(ws, ws.update(update))


@router.post("/updates/{update}/resume")
def resume(ws: Acting, update: str) -> dict[str, Any]:
    """Run a case file on."""
    return standing(ws, ws.resume(update))


@router.post("/updates/{update}/withdraw")
def withdraw(ws: Acting, update: str, why: Comment) -> dict[str, Any]:
    """End a case file that is not yet on traffic."""
    return standing(ws, ws.withdraw(update, why.reason))


@router.post("/updates/{update}/approve")
def approve(ws: Acting, update: str, why: Comment | None = None) -> dict[str, Any]:
    """Sign a case file as it stands, and run on."""
    return standing(ws, ws.approve(update, why.reason if why else ""))


@router.post("/updates/{update}/reject")
def reject(ws: Acting, update: str, why: Comment) -> dict[str, Any]:
    """Refuse a case file, which ends it."""
    return standing(ws, ws.reject(update, why.reason))


@router.get("/updates/{update}/replay")
def replay(ws: Acting, update: str) -> dict[str, Any]:
    """Every verdict, derived again from the record."""
    again = ws.replay(update)
    return {"same": all(one.same for one in again), "verdicts": plain(again)}


@router.post("/updates/{update}/reproduce")
def reproduce(ws: Acting, update: str) -> dict[str, Any]:
    """The training run again, and whether the same parameters came out."""
    found = ws.reproduce(update)
    return {**plain(found), "same": found.same}


class Markdown(PlainTextResponse):
    """A page as Markdown."""

    media_type = "text/markdown"


@router.get("/updates/{update}/record", response_class=Markdown)
def record(ws: Acting, update: str, lang: str = "en") -> Markdown:
    """The update record, as Markdown."""
    return Markdown(ws.document(update, "zh" if lang == "zh" else "en"))


@router.get(
    "/updates/{update}/deployment", response_class=Markdown,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def deployment(
    ws: Acting, update: str, lang: str = "en", format_: Annotated[Format, Query(alias="format")]
    = Format.MD,
) -> Response:  # fmt: skip
    """The deployment log of an update's release, as Markdown or as a page."""
    text = ws.document(update, "zh" if lang == "zh" else "en", Kind.DEPLOYMENT, format_)
    return HTMLResponse(text) if format_ is Format.HTML else Markdown(text)


@router.get("/versions/{version}")
def version(ws: Acting, version: str) -> dict[str, Any]:
    """``MODEL@V`` and its tensors."""
    found, manifest = ws.version(version)
    return {**plain(found), "name": found.name, "tensors": plain(manifest.tensors)}


@router.get("/diff")
def diff(ws: Acting, old: str, new: str) -> dict[str, Any]:
    """What changed between two versions, tensor by tensor."""
    return {"old": old, "new": new, "tensors": [row._asdict() for row in ws.diff(old, new)]}


@router.get("/audit")
def audit(ws: Acting) -> dict[str, Any]:
    """The whole record checked."""
    report = ws.verify()
    return {"ok": report.ok, **plain(report)}


@router.get("/parameters/damage")
def fsck(ws: Acting) -> dict[str, Any]:
    """Every damaged or missing byte of every version."""
    found = ws.fsck()
    return {"ok": not found, "damages": plain(found)}


@router.post("/parameters/gc")
def gc(ws: Acting, grace_seconds: Annotated[float, Query(ge=0)] = 3600) -> Any:
    """Free parameters that nothing refers to, unless younger than the grace period."""
    return plain(ws.gc(grace_seconds))


@router.get("/people")
def people(ws: Acting) -> dict[str, Any]:
    """Everyone known here."""
    return {"people": plain(ws.people())}


@router.post("/people", status_code=201)
def add_person(ws: Acting, new: NewPerson) -> Any:
    """Someone new; takes the role admin."""
    return plain(ws.add_person(new.name, new.team, new.roles))


@router.patch("/people/{name}")
def change_person(ws: Acting, name: str, change: PersonChange) -> Any:
    """Another team, other roles, or switched off; takes the role admin."""
    return plain(ws.change_person(name, team=change.team, roles=change.roles, active=change.active))
