"""A version made ready to answer: cleared by the record, loaded, warmed up, and asked again what
it answered when it was validated. Whoever routes takes it as a whole, or goes on as before."""

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tidegate.domain.compatibility import undeclared
from tidegate.domain.errors import Incompatible
from tidegate.domain.messages import Message, say
from tidegate.domain.predictor import NumbersPredictor
from tidegate.params.checkout import load_manifest
from tidegate.process.clearance import clear
from tidegate.process.golden import replay
from tidegate.process.home import Home
from tidegate.process.loading import as_served, restore
from tidegate.release.route import Served

#: An answer that takes less is given in the event loop: another thread would take longer.
QUICK_SECONDS = 0.002


class Ready(NamedTuple):
    """A version that may be routed; ``note`` tells what could not be asked of it."""

    served: Served
    note: Message | None


def ready(home: Home, model: str, number: int) -> Ready:
    """Version ``number``, every byte of its parameters checked against the id in the record.

    Raises what ``clear`` raises, IntegrityError for damaged bytes, Incompatible where it does not
    fit what the model declares, the adapters and libraries here, or its own earlier answers.
    """
    with home.journal.read() as reader:
        cleared = clear(reader, model, number)
    version = cleared.version
    manifest = load_manifest(home.objects, version.params)
    unfit = undeclared(manifest.structure, cleared.spec)
    if unfit:
        raise Incompatible(
            "version {version} is not what its model declares: {differences}",
            do="make a new version with a full update",
            version=version.name,
            differences=[each.model_dump() for each in unfit],
        )
    restored = restore(home.objects, manifest).predictor()
    predictor = as_served(restored, cleared.spec, cleared.cleaning)
    classes = manifest.structure.architecture.get("classes")
    served = _warmed(
        Served(
            number, predictor, version.params, classes=None if classes is None else tuple(classes)
        )
    )
    if cleared.golden is None:
        return Ready(
            served, say("no golden requests are kept of version {version}", version=version.name)
        )
    dtypes = {tensor.dtype for tensor in manifest.tensors}
    return Ready(served, replay(home.objects, version.name, cleared.golden, predictor, dtypes))


def _warmed(served: Served) -> Served:
    """A version that has answered once, so that its first user waits no longer than others; and
    whether it does so quickly. Raises what it raises."""
    predictor = served.predictor
    inputs = predictor.inputs if isinstance(predictor, NumbersPredictor) else None
    if inputs is None:
        return served
    served, row, took = replace(served, inputs=inputs), np.zeros((1, len(inputs))), []
    for _ in range(5):
        began = time.perf_counter()
        served.of_numbers(row)
        took.append(time.perf_counter() - began)
    return replace(served, quick=min(took) < QUICK_SECONDS)
