"""``tidegate model``: declare models and see what governs them."""

from pathlib import Path

import typer
import yaml

from tidegate.apps.cli.session import session
from tidegate.apps.cli.terminal import escape
from tidegate.domain.messages import say
from tidegate.process.models import policy_lines

group = typer.Typer(no_args_is_help=True, help="Declare models and see what governs them.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.add_typer(group, name="model")


@group.command("apply")
def apply(context: typer.Context, file: Path) -> None:
    """Declare or change a model from a YAML file; the same file again changes nothing."""
    s = session(context)
    with s.workspace() as ws:
        spec, changed = ws.apply_model(file)
    s.emit(
        {"model": spec.model, "changed": changed},
        lambda: s.out.print(
            s.say("model '{model}' is recorded", model=spec.model)
            if changed
            else s.say("model '{model}' is as declared; nothing changed", model=spec.model)
        ),
    )


@group.command("list")
def list_(context: typer.Context) -> None:
    """The models of this workspace."""
    s = session(context)
    with s.workspace() as ws:
        specs = ws.models()
        champions = {spec.model: ws.deployment(spec.model).champion for spec in specs}
    table = s.table(say("Model"), say("Adapter"), say("Task"), say("In production"))
    for spec in specs:
        champion = champions[spec.model]
        shown = f"{spec.model}@{champion}" if champion else "-"
        table.add_row(escape(spec.model), spec.adapter, spec.task or "-", shown)
    s.emit(
        {
            "models": [
                {
                    "model": spec.model,
                    "adapter": spec.adapter,
                    "task": spec.task,
                    "champion": champions[spec.model],
                }
                for spec in specs
            ]
        },
        lambda: s.out.print(table),
    )


@group.command("show")
def show(context: typer.Context, model: str) -> None:
    """A model as declared, every default filled in."""
    s = session(context)
    with s.workspace() as ws:
        document = ws.model(model).model_dump(mode="json")
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    s.emit(document, lambda: s.out.print(text, markup=False, end=""))


@group.command("contract")
def contract(context: typer.Context, model: str) -> None:
    """The contract in force, to edit and put into the model file."""
    s = session(context)
    with s.workspace() as ws:
        text = ws.contract(model)
    s.emit(yaml.safe_load(text), lambda: s.out.print(text, markup=False, end=""))


@group.command("policy")
def policy(context: typer.Context) -> None:
    """Every policy key with its default in 'standard', and why it is so."""
    s = session(context)
    lines = policy_lines()
    table = s.table(say("Key"), say("Default"), say("Why"))
    for key, default, why in lines:
        table.add_row(key, escape(default), escape(why))
    s.emit(
        {"policy": [{"key": k, "default": d, "why": w} for k, d, w in lines]},
        lambda: s.out.print(table),
    )
