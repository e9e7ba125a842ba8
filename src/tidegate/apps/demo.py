"""The whole loop on real data, told as a story: ``tidegate demo``.

The data are the 1,797 handwritten digits that scikit-learn carries (E. Alpaydin and C. Kaynak,
Optical Recognition of Handwritten Digits, 1998). Files of them arrive week by week; what goes
wrong in two of the weeks is what goes wrong in practice, and is done to the files only.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from tidegate.apps.cli.session import Session
from tidegate.domain.errors import WorkspaceError
from tidegate.domain.evidence import ValidateEvidence
from tidegate.domain.messages import say
from tidegate.domain.people import Role
from tidegate.domain.stage import Stage, Team
from tidegate.domain.update import Outcome, Update
from tidegate.process.serving import Serving
from tidegate.process.workspace import Workspace

MODEL = """\
model: digits
task: multiclass
target: digit
adapter: sklearn.logistic_regression
policy:
  preset: standard
  rollout:
    steps:
      - {share: 0.2, min_labels: 300}
      - {share: 0.5, min_labels: 300}
  observe: {min_labels: 300}
contract:  # what the owners know of their data: grey levels go from 0 to 16
  columns:
"""
RULE = "    - {name: %s, kind: numeric, minimum: 0, maximum: 16, severity: refuse}\n"

#: Rows of each week's file, in the order of the data set; what is left asks on live traffic.
WEEKS = {"week1": (0, 150), "week2": (150, 650), "week3": (650, 850), "week4": (850, 1250)}
LIVE_FROM = 1250

#: Requests that arrive together, and the most that any release in the story may take.
BURST, PATIENCE = 50, 3000

_MARK = "tidegate-demo.json"


def run_demo(s: Session, folder: Path) -> dict[str, Any]:
    """Play the story in ``folder``; gives its JSON. A workspace of an earlier demo is replaced."""
    _clear(folder)
    _write_files(folder / "files")
    with Workspace.init(folder, actor="ada") as made:
        made.change_person("ada", roles=[Role.ADMIN, Role.PROPOSER])
        made.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        made.apply_model(folder / "files" / "digits.yaml")
    with Workspace(folder, actor="ada", watch=s.watch) as ws:
        story = _Story(s, ws, folder)
        ended = [story.first(), story.better(), story.broken(), story.mislabelled()]
        return story.end(ended)


def _clear(folder: Path) -> None:
    if (folder / _MARK).exists():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise WorkspaceError(
            "{folder} is not empty, and not from an earlier demo",
            do="name another folder with --dir",
            folder=folder,
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text(json.dumps({"made_by": "tidegate demo"}), encoding="utf-8")


def _digits() -> pl.DataFrame:
    data = load_digits()
    columns = {f"pixel_{at // 8}_{at % 8}": data.data[:, at] for at in range(64)}
    return pl.DataFrame({**columns, "digit": data.target})


def _write_files(folder: Path) -> None:
    folder.mkdir()
    digits = _digits()
    rules = "".join(RULE % name for name in digits.columns if name != "digit")
    (folder / "digits.yaml").write_text(MODEL + rules, encoding="utf-8")
    for week, (start, end) in WEEKS.items():
        frame = digits[start:end]
        if week == "week3":  # a new scanner writes 0 to 255 instead of 0 to 16
            frame = frame.with_columns(pl.exclude("digit") * 16)
        if week == "week4":  # whoever labelled this week took 1 for 7 and 7 for 1
            frame = frame.with_columns(pl.col("digit").replace({1: 7, 7: 1}))
        frame.write_csv(folder / f"{week}.csv")


class _Story:
    """The chapters, and the live traffic between them."""

    def __init__(self, s: Session, ws: Workspace, folder: Path):
        self._s, self._ws, self._folder = s, ws, folder
        self._wei = ws.acting_as("wei")
        self._serving: Serving = ws.serving()
        self._live = _digits()[LIVE_FROM:]
        self._random = np.random.default_rng(0)

    def first(self) -> Update:
        self._title("1. A first version")
        self._tell(
            "Week 1: {rows} handwritten digits arrive. Ada opens a case file for them.", rows=150
        )
        update = self._start("week1", "first version", "auto")
        self._tell("It waits for somebody who is not Ada: {why}", why=update.waiting)
        update = self._approve(update)
        self._tell("Version 1 answers all requests: there was none before it to compare with.")
        return update

    def better(self) -> Update:
        self._title("2. An update that is promoted")
        self._tell("Week 2: {rows} more digits. More data should make a better model.", rows=500)
        update = self._approve(self._start("week2", "week 2's data", "full"))
        self._tell(
            "Approved is not released. A fifth of the requests go to version 2 now, and each "
            "answer is checked against what the digit turned out to be."
        )
        update = self._traffic(update)
        self._tell("It was no worse at 20% and at 50%, and it held once it answered everyone.")
        return update

    def broken(self) -> Update:
        self._title("3. An update that a gate rejects")
        self._tell(
            "Week 3: a new scanner writes grey levels up to 255 instead of up to 16. Nobody said "
            "so, but the contract says what a pixel may hold."
        )
        update = self._start("week3", "week 3's data", "full")
        self._tell("Refused at the first gate. Nothing was trained, and version 2 still answers.")
        return update

    def mislabelled(self) -> Update:
        self._title("4. An update that passes offline, and is rolled back by its canary")
        self._tell(
            "Week 4: whoever labelled these {rows} digits took 1 for 7 and 7 for 1. The hold-out "
            "comes from the same file, so it has the same mistake: offline, all looks well.",
            rows=400,
        )
        update = self._approve(self._start("week4", "quick update on week 4", "incremental"))
        self._tell("Every gate passed, and people agreed. Now real traffic has its say.")
        update = self._traffic(update)
        self._tell(
            "The canary saw what no offline check could: on real digits the new version is worse. "
            "It was rolled back at once; four fifths of the users never met it."
        )
        return update

    def end(self, ended: list[Update]) -> dict[str, Any]:
        self._title("5. The record")
        report = self._ws.verify()
        self._tell(
            "Every step above is in a tamper-evident ledger: {events} events, "
            "{problems} problem(s).",
            events=report.events,
            problems=len(report.problems),
        )
        self._look_next(ended)
        self._wei.close()
        return {
            "model": "digits",
            "workspace": str(self._folder),
            "updates": [self._summary(update) for update in ended],
            "ledger": {"events": report.events, "verified": report.ok},
        }

    def _start(self, week: str, reason: str, strategy: str) -> Update:
        arrival = self._ws.add_data("digits", [self._folder / "files" / f"{week}.csv"])
        return self._ws.start_update(
            "digits", data=arrival.snapshot.id, reason=reason, strategy=strategy
        )

    def _approve(self, update: Update) -> Update:
        if update.stage is not Stage.APPROVE or update.outcome is not None:
            return update
        self._tell("Wei, from the business team, reads the case file and approves it.")
        return self._wei.approve(update.id, comment="looks right")

    def _traffic(self, update: Update) -> Update:
        """Requests with outcomes that follow, until the update ends."""
        asked = 0
        while update.outcome is None and asked < PATIENCE:
            picked = self._random.integers(0, self._live.height, BURST).tolist()
            rows = self._live[picked]
            keys = [f"user-{asked + at}" for at in range(BURST)]
            answers = self._serving.infer("digits", rows.drop("digit"), keys)
            truth = rows["digit"].to_list()
            self._serving.feedback(
                "digits",
                {answer.request_id: label for answer, label in zip(answers, truth, strict=True)},
            )
            asked += BURST
            update = self._ws.update(update.id)
        self._tell("{asked} requests later:", asked=asked)
        self._tell("  {standing}", standing=self._ws.describe(update))
        return update

    def _summary(self, update: Update) -> dict[str, Any]:
        trained = next((f for f in update.filed if f.stage is Stage.PLAN), None)
        before: dict[str, float] | None = None
        after: dict[str, float] | None = None
        strategy = update.requested
        with self._ws.home.journal.read() as reader:
            if trained is not None:
                strategy = getattr(reader.evidence(trained.evidence), "strategy", strategy)
            digest = update.evidence_digest(Stage.VALIDATE)
            found = reader.evidence(digest) if digest else None
        if isinstance(found, ValidateEvidence):
            before = {name: score.value for name, score in found.champion.items()} or None
            after = {name: score.value for name, score in found.candidate.items()}
        return {
            "id": update.id,
            "strategy": str(strategy),
            "outcome": update.outcome,
            "reason": self._ws.describe(update).text(self._s.lang),
            "metrics_before": before,
            "metrics_after": after,
        }

    def _title(self, template: str) -> None:
        if not self._s.as_json:
            self._s.err.print()
            self._s.err.rule(f"[bold]{self._s.say(template)}", align="left")

    def _tell(self, template: str, **values: Any) -> None:
        if not self._s.as_json:
            self._s.err.print(self._s.say(template, **values))

    def _look_next(self, ended: list[Update]) -> None:
        if self._s.as_json:
            return
        table = self._s.table(say("Update"), say("Outcome"), say("Why"))
        colours = {Outcome.COMPLETED: "green", Outcome.ROLLED_BACK: "yellow"}
        for update in ended:
            colour = colours.get(update.outcome or Outcome.WITHDRAWN, "red")
            outcome = self._s.text(say(update.outcome or "open"))
            why = self._s.text(self._ws.describe(update))
            table.add_row(update.id, f"[{colour}]{outcome}[/]", why)
        self._s.err.print(table)
        self._s.err.print()
        self._tell("Where to look next (the workspace is in {folder}):", folder=self._folder)
        base = f".venv/bin/tidegate --workspace {self._folder}"
        for command in (
            "update show digits-4",
            "update replay digits-4",
            "params diff digits@1 digits@2",
            "audit verify",
            "docs digits-2 -o record.md",
        ):
            self._s.err.print(f"  {base} {command}", markup=False)
