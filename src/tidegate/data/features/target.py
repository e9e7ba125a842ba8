"""Target encoding: a category becomes what the target was where it occurred."""

from collections import Counter
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, FiniteFloat, model_validator

from tidegate.data.features.categorical import MIN_CATEGORY_ROWS
from tidegate.data.features.target_table import TargetTable
from tidegate.data.features.values import Floats, categories, numbers, place_of, texts
from tidegate.domain.features import FeatureRule
from tidegate.domain.messages import Frozen
from tidegate.domain.metrics import Task

#: A category of so many rows is half what its rows say, and half the mean of all. With fewer, one
#: odd row would speak for the category; with more, a category of a hundred would not be heard.
SMOOTH = 10.0
#: Parts that training rows are dealt into: each row's value then comes from four fifths of the
#: others, nearly all that serving has (scikit-learn's TargetEncoder deals into five too).
FOLDS = 5
#: Classes that get a column each, the most frequent first: as many as one-hot categories.
MAX_CLASSES = 30

Codes = NDArray[np.int64]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Output(Frozen):
    """One column of an encoding: of a number, or of whether the target is ``label``.

    The target counts as ``(target - mean) / scale``, so that 0 is what all rows together say;
    the column is divided by ``spread``, so that it has the scale of any other number.
    """

    mean: FiniteFloat
    scale: Positive
    label: str | None = None
    spread: Positive = 1.0


class TargetFeature(Frozen):
    """A text becomes the mean target of its category, drawn towards that of all rows.

    Of a category with ``n`` rows it is ``n * mean / (n + smooth)``, the overall mean being 0, as
    it is for a category never seen or seen once (Micci-Barreca 2001, whose weight of a category is
    here n / (n + m)). A missing text is a category too. Regression and two classes give one
    column, the latter for the class whose text sorts last; more classes give one each.

    A row that is trained on must not read its own target here: ``out_of_fold`` gives its values
    from the other folds' rows (cross-fitting, as in scikit-learn's TargetEncoder).
    """

    name: str
    smooth: Positive
    outputs: Annotated[list[Output], Field(min_length=1, max_length=MAX_CLASSES)]
    table: TargetTable = Field(exclude=True)

    model_config = ConfigDict(**Frozen.model_config, arbitrary_types_allowed=True)

    @model_validator(mode="after")
    def _one_width(self) -> "TargetFeature":
        if self.table.values.shape != (len(self.table.categories), len(self.outputs)):
            raise ValueError("the table has not a value for each category and output")
        return self

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        labels = [output.label for output in self.outputs]
        if len(labels) == 1:
            return [f"{self.name}~target"]
        return [f"{self.name}~target={label}" for label in labels]

    def put(self, block: Floats, column: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, len(names))``."""
        block[:] = self.table.look_up(categories(column))

    def out_of_fold(self, column: pl.Series, target: pl.Series, seed: int) -> Floats:
        """The features of the rows that it was fitted on, none from the row's own target.

        The folds are drawn by ``seed`` alone. Categories of the table count, as in serving.
        """
        codes = _codes(categories(column), self.table.categories)
        size = len(self.table.categories)
        values = _out_of_fold(codes, _counted(target, self.outputs), size, self.smooth, seed)
        spreads: Floats = np.array([output.spread for output in self.outputs])
        return np.asarray(values / spreads)


def fit_target(
    column: pl.Series, target: pl.Series, task: Task, rule: FeatureRule, seed: int
) -> TargetFeature:
    """The encoding of a column by all of its rows; raises DataError for a target of the task
    regression that is no number."""
    read = categories(column)
    counts = Counter(read)
    known = sorted(text or "" for text, rows in counts.items() if rows >= MIN_CATEGORY_ROWS)
    codes, smooth = _codes(read, known), rule.smooth or SMOOTH
    outputs = _outputs(target, task)
    counted = _counted(target, outputs)
    apart = _out_of_fold(codes, counted, len(known), smooth, seed)
    spreads = [place_of(apart[:, number])[1] for number in range(len(outputs))]
    sums, rows = _sums(codes, counted, len(known))
    values = sums / (rows + smooth)[:, None] / np.array(spreads)
    return TargetFeature(
        name=column.name,
        smooth=smooth,
        outputs=[
            Output(label=output.label, mean=output.mean, scale=output.scale, spread=spread)
            for output, spread in zip(outputs, spreads, strict=True)
        ],
        table=TargetTable(known, values),
    )


def _codes(read: list[str | None], known: list[str]) -> Codes:
    """Each text's place among ``known``, and their number for any other."""
    places: dict[str | None, int] = {category: number for number, category in enumerate(known)}
    places[None] = places.get("", len(known))
    return np.array([places.get(text, len(known)) for text in read], np.int64)


def _outputs(target: pl.Series, task: Task) -> list[Output]:
    if task is Task.REGRESSION:
        values = numbers(target)
        mean, scale = place_of(values[np.isfinite(values)])
        return [Output(label=None, mean=mean, scale=scale)]
    known = texts(target).drop_nulls()
    ranked = sorted(known.value_counts().iter_rows(), key=lambda row: (-row[1], row[0]))
    labels = sorted(label for label, _ in ranked[:MAX_CLASSES])
    shares = {label: rows / len(known) for label, rows in ranked}
    return [
        Output(label=label, mean=shares[label], scale=_deviation(shares[label]))
        for label in (labels[-1:] if len(ranked) <= 2 else labels)
    ]


def _deviation(share: float) -> float:
    return float(np.sqrt(share * (1 - share))) or 1.0


def _counted(target: pl.Series, outputs: list[Output]) -> Floats:
    """The target as each output counts it, ``(n_rows, len(outputs))``; 0 where it is missing."""
    columns = []
    labels = None if outputs[0].label is None else texts(target)
    for output in outputs:
        if labels is None:
            said = numbers(target)
        else:
            said = (labels == output.label).cast(pl.Float64).to_numpy()
        columns.append((said - output.mean) / output.scale)
    return np.nan_to_num(np.column_stack(columns), nan=0.0)


def _sums(codes: Codes, counted: Floats, size: int) -> tuple[Floats, Codes]:
    """Sum and number of the rows of each code below ``size``.

    Added row by row, so that every machine rounds alike.
    """
    sums = [np.bincount(codes, weights=column, minlength=size)[:size] for column in counted.T]
    rows = np.bincount(codes, minlength=size)[:size].astype(np.int64)
    return np.column_stack(sums), rows


def _out_of_fold(codes: Codes, counted: Floats, size: int, smooth: float, seed: int) -> Floats:
    """What each row's category says in the other folds; 0 where its code is not below ``size``.

    The mean of all rows stands in for those of no category, that of the other folds does not: it
    would tell a little of the row's own fold.
    """
    folds = _folds(len(codes), seed)
    sums, rows = _sums(codes * FOLDS + folds, counted, size * FOLDS)
    width = counted.shape[1]
    by_fold, rows = sums.reshape(size, FOLDS, width), rows.reshape(size, FOLDS)
    values = np.zeros((size + 1, FOLDS, width))
    for fold in range(FOLDS):
        # Added up without the fold, rather than taken off the whole: what is left over of a sum
        # in its last bits would tell of what was taken off.
        others = [other for other in range(FOLDS) if other != fold]
        weight = rows[:, others].sum(axis=1) + smooth
        values[:size, fold] = sum(by_fold[:, other] for other in others) / weight[:, None]
    return np.asarray(values[codes, folds])


def _folds(rows: int, seed: int) -> Codes:
    # Raw generator output, as for splits: numpy keeps that stream in every version.
    order = np.argsort(np.random.PCG64(seed).random_raw(rows), kind="stable")
    folds = np.empty(rows, np.int64)
    folds[order] = np.arange(rows) % FOLDS
    return folds
