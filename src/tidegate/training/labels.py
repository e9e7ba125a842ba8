"""Class labels and their codes."""

from functools import lru_cache
from typing import Any

import numpy as np

from tidegate.domain.errors import DataError
from tidegate.domain.predictor import Predictions
from tidegate.training.state import Array, Floats


def plain(label: Any) -> Any:
    """A label as JSON keeps it: numpy scalars become Python's."""
    return label.item() if isinstance(label, np.generic) else label


def classes_of(y: Array) -> list[Any]:
    """The distinct labels, sorted; raises DataError where there are fewer than two."""
    try:
        found = [plain(label) for label in np.unique(y)]
    except TypeError:  # None or mixed types do not sort
        kinds = sorted({type(plain(label)).__name__ for label in y})
        raise DataError(
            "the labels are of several types: {kinds}",
            do="make all labels text, or all numbers, and leave unlabelled rows out",
            kinds=kinds,
        ) from None
    refuse_one_class(found)
    return found


def refuse_one_class(found: list[Any]) -> None:
    """Raise DataError where only one class occurs: there is nothing to tell apart."""
    if len(found) < 2:
        raise DataError(
            "all labels are of one class: {name}",
            do="add rows of the other classes, or check that the target column is the right one",
            name=str(found[0]) if found else "-",
        )


def codes_of(y: Array, classes: list[Any]) -> Array:
    """Each label's position in ``classes``, int64; raises DataError for a label not in it."""
    position = {label: code for code, label in enumerate(classes)}
    labels, inverse = np.unique(y, return_inverse=True)
    unknown = [label for label in map(plain, labels) if label not in position]
    if unknown:
        raise DataError(
            "label {name} is a class that the parent version does not know ({known})",
            do="use a full update, which learns the classes anew",
            name=repr(unknown[0]),
            known=[str(label) for label in classes],
        )
    codes = np.array([position[plain(label)] for label in labels], dtype=np.int64)
    return np.asarray(codes[inverse.reshape(-1)])


def label_array(classes: list[Any]) -> Array:
    """The classes as an array to pick labels from, not to write to: text as objects, the rest as
    numpy has it."""
    return _label_array(*classes)


@lru_cache(64, typed=True)  # to make one anew takes as long as the arithmetic of a small answer
def _label_array(*classes: Any) -> Array:
    texts = all(isinstance(label, str) for label in classes)
    made = np.array(classes, dtype=object if texts else None)
    made.flags.writeable = False
    return made


def scored_predictions(classes: list[Any], scores: Floats) -> Predictions:
    """Classes alone, from scores ``(n_rows, 1)``, whose sign tells, or one a class: the highest."""
    codes = (scores[:, 0] > 0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)
    return Predictions(values=label_array(classes)[codes], classes=list(classes))


def class_predictions(classes: list[Any], probabilities: Floats) -> Predictions:
    """The most probable class of each row; the first of equals."""
    if len(classes) == 2:  # argmax lets other threads go first, which costs a small answer dear
        codes = (probabilities[:, 1] > probabilities[:, 0]).astype(np.intp)
    else:
        codes = np.argmax(probabilities, axis=1)
    return Predictions(label_array(classes)[codes], classes, probabilities)
