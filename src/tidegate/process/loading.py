"""From a version's number to something that predicts: parameters, transform and adapter joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tidegate.data.cleaning.clean import clean_request
from tidegate.data.features.transform import Transform, restored
from tidegate.domain.evidence import Cleaning
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Array, Predictions, Predictor
from tidegate.domain.tensor import Tensor, tensors_of
from tidegate.domain.version import Manifest, Structure
from tidegate.params.checkout import load, load_manifest
from tidegate.params.commit import commit
from tidegate.process.history import find_version
from tidegate.process.home import Home
from tidegate.store.objects import Objects
from tidegate.training.adapter import Loaded as LoadedParameters
from tidegate.training.adapter import State, adapter
from tidegate.training.adapter import load as load_parameters
from tidegate.training.state import Floats

#: Names of tensors that are the transform's and no parameters begin so.
_TRANSFORM = "transform."


@dataclass(frozen=True)
class Fitted:
    """Parameters and the feature transform they were trained behind."""

    adapter: str
    state: State
    transform: Transform
    #: The library versions that stored parameters were made for; the adapter's own before that.
    libraries: Mapping[str, str] | None = None

    def predictor(self) -> "TabularPredictor":
        """Something that predicts on rows.

        Raises Incompatible where a library, or the tensors, do not fit what they were made for.
        """
        loaded = load_parameters(self.adapter, self.state, self.libraries)
        return TabularPredictor(self.transform, loaded)

    def structure(self) -> Structure:
        """The structure these parameters are stored with."""
        return Structure(
            adapter=self.adapter,
            architecture=self.state.architecture,
            groups=self.state.groups,
            transform=self.transform.stored(),
            libraries=adapter(self.adapter).libraries,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything that is stored as tensors: the parameters, and the transform's arrays."""
        arrays = {f"{_TRANSFORM}{name}": a for name, a in self.transform.arrays().items()}
        return tensors_of({**self.state.tensors, **arrays})

    def commit(self, objects: Objects, near: Sequence[str]) -> Manifest:
        """Store the parameters, as what differs from the versions ``near``, the parent first."""
        return commit(objects, self.structure(), self.tensors(), near)


@dataclass(frozen=True)
class TabularPredictor:
    """A loaded version that answers rows: the transform first, then the parameters."""

    transform: Transform
    loaded: LoadedParameters

    def predict(self, rows: pl.DataFrame) -> Predictions:
        """Predictions for every row; raises DataError where a needed column is missing."""
        return self.loaded.predict(self.transform.apply(rows))

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The columns, in order, where all of them are numbers; else None."""
        return tuple(self.transform.columns) if self.transform.numbers_alone else None

    def predict_numbers(self, block: Floats) -> Predictions:
        """As ``predict``, for ``inputs`` as float64 ``(n_rows, n_columns)``, NaN where missing."""
        return self.loaded.predict(self.transform.apply_numbers(block))


@dataclass(frozen=True)
class CleanedFirst:
    """A version that cleans the rows it is asked about as those that it was trained on were."""

    predictor: TabularPredictor
    spec: ModelSpec
    cleaning: Sequence[Cleaning]

    def predict(self, rows: pl.DataFrame) -> Predictions:
        """Predictions for every row; raises DataError where a column is missing or does not fit."""
        return self.predictor.predict(clean_request(rows, self.spec, self.cleaning))


def as_served(
    predictor: TabularPredictor, spec: ModelSpec, cleaning: Sequence[Cleaning]
) -> Predictor:
    """What answers requests: rows come as they are, not cleaned by what prepare recorded."""
    return predictor if spec.cleaning is None else CleanedFirst(predictor, spec, cleaning)


def restore(objects: Objects, manifest: Manifest) -> Fitted:
    """The stored parameters, every byte checked against the version's id."""
    structure = manifest.structure
    tensors: dict[str, Array] = {}
    arrays: dict[str, Array] = {}
    for name, tensor in load(objects, manifest).items():
        mine = arrays if name.startswith(_TRANSFORM) else tensors
        mine[name.removeprefix(_TRANSFORM)] = tensor.numpy()
    return Fitted(
        adapter=structure.adapter,
        state=State(structure.architecture, tensors, structure.groups),
        transform=restored(structure.transform, arrays),
        libraries=structure.libraries,
    )


def load_version(home: Home, model: str, number: int) -> Fitted:
    """Version ``number`` of a model that is trained here."""
    with home.journal.read() as reader:
        version = find_version(reader, model, number)
    return restore(home.objects, load_manifest(home.objects, version.params))


def load_fitted(home: Home, model: str, number: int | None) -> Fitted | None:
    """As ``load_version``; None where there is no number."""
    return None if number is None else load_version(home, model, number)
