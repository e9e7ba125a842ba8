"""``tidegate backtest``: a policy tried on the past before it governs the future."""

from pathlib import Path

import typer

from tidegate.apps.cli.progress import Bars
from tidegate.apps.cli.session import session
from tidegate.domain.messages import say
from tidegate.process.backtest import backtest as run_backtest
from tidegate.process.models import read_model_file


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.command("backtest")(backtest)


def backtest(
    context: typer.Context,
    file: Path = typer.Argument(..., help="The model file."),
    data: Path = typer.Argument(..., help="A CSV or Parquet file, in time order."),
    batch_rows: int = typer.Option(336, "--batch-rows", min=2, help="Rows that arrive together."),
    time_column: str = typer.Option(None, "--time-column", help="Sort by this column first."),
) -> None:
    """Replay a time-ordered file through the policy: each batch is predicted, then learned."""
    s = session(context)
    found = run_backtest(
        read_model_file(file),
        data,
        batch_rows=batch_rows,
        time_column=time_column,
        progress=Bars(s.err, s.lang),
    )
    table = s.table(
        say("Policy"), say(found.metric.name), say("Updates"), say("Seconds"), right=(1, 2, 3)
    )
    arms = (
        ("never update", found.static),
        ("every batch", found.always),
        ("this policy", found.policy),
    )
    for name, arm in arms:
        table.add_row(s.text(say(name)), f"{arm.score:.4f}", str(arm.updates), f"{arm.seconds:.1f}")

    def shown() -> None:
        s.out.print(
            s.say(
                "{batches} batches, {rows:,} rows predicted before they were learned",
                batches=found.batches,
                rows=found.rows_tested,
            )
        )
        s.out.print(table)

    s.emit(found, shown)
