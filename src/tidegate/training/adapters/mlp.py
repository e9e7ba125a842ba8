"""Multi-layer perceptrons: each layer is a group, and a frozen one does not move at any step."""

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier as ClassifierEstimator
from sklearn.neural_network import MLPRegressor as RegressorEstimator
from sklearn.preprocessing import LabelBinarizer

from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import (
    SklearnAdapter,
    convergence,
    loss_of,
    settled,
)
from tidegate.training.base import CLASSIFICATION, REGRESSION
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Job, Rows, Scorer, State


class _Mlp(SklearnAdapter):
    """Groups ``layer.0``, ``layer.1``, ...: the weights and biases into each layer, input first.

    Incremental: ``epochs`` passes in batches from the parent's values; after every single step
    the frozen layers are put back, so the others learn beside them as they are, and under a pull
    the others go a part of the way back (L2-SP, Li et al. 2018, arXiv:1802.01483). Hybrid: the
    key layers start anew (Glorot and Bengio 2010), the others from the parent, and all of them
    move until the loss settles.
    """

    passed = {
        "hidden_layer_sizes": [100], "activation": "relu", "solver": "adam", "alpha": 1e-4,
        "batch_size": "auto", "learning_rate_init": 1e-3, "max_iter": 200, "tol": 1e-4,
        "n_iter_no_change": 10, "early_stopping": False, "validation_fraction": 0.1,
        "momentum": 0.9,
    }  # fmt: skip
    own = {"epochs": (10, 1, 10_000), "hybrid_epochs": (200, 1, 10_000)}
    structural = frozenset({"hidden_layer_sizes", "activation"})
    pulls = True
    searched = {
        "alpha": Range(low=1e-6, high=1e-1, log=True),
        "learning_rate_init": Range(low=1e-4, high=1e-1, log=True),
    }

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """A group for each layer of weights; of a first version, as many as by default."""
        if state is not None:
            return list(state.groups)
        hidden = self.defaults(task)["hidden_layer_sizes"]
        return [f"layer.{i}" for i in range(len(hidden) + 1)]

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """The last layer: what was learned of the features stays."""
        return self.group_names(task, state)[-1:]

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The last layer."""
        return self.group_names(task, state)[-1:]

    def blended(self, state: State) -> list[str]:
        """All layers."""
        return list(state.groups)

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        sizes = settings.get("hidden_layer_sizes", [1])
        settings = {**settings}
        if isinstance(sizes, int):
            settings["hidden_layer_sizes"] = [sizes]
        super().check_settings(task, settings)

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        estimator = self.estimator(job.task, job.settings, job.seed)
        if job.strategy is Strategy.FULL:
            converged: list[bool] = []
            job.progress(0, 1)
            with convergence(converged):
                estimator.fit(rows.x, rows.y)
            job.progress(1, 1)
            notes = [] if converged[0] else [
                say("the optimiser stopped after {steps} steps", steps=job.settings["max_iter"])
            ]  # fmt: skip
            curve = [float(loss) for loss in getattr(estimator, "loss_curve_", [estimator.loss_])]
            return Fitted(self._state(estimator, rows, job), curve, converged[0], notes=notes)
        return self._continued(estimator, rows, job)

    def _continued(self, estimator: Any, rows: Rows, job: Job) -> Fitted:
        parent = self.parent_of(job)
        rng = np.random.default_rng(job.seed)
        if estimator.solver == "lbfgs":  # takes no single steps
            estimator.solver = "adam"
        self._restore(estimator, parent)
        for group in job.key_groups:
            self._reset(estimator, _index(group), rng)
        frozen = [] if job.strategy is Strategy.HYBRID else [
            _index(group) for group in parent.groups if group not in job.trainable_groups
        ]  # fmt: skip
        size = min(200, len(rows.x)) if job.settings["batch_size"] == "auto" else int(
            job.settings["batch_size"]
        )  # fmt: skip
        hybrid = job.strategy is Strategy.HYBRID
        epochs = job.settings["hybrid_epochs" if hybrid else "epochs"]
        curve: list[float] = []
        for epoch in range(epochs):
            order = rng.permutation(len(rows.x))
            for at in range(0, len(order), size):
                self._step(estimator, rows, order[at : at + size], frozen, job, parent)
            state = self._state(estimator, rows, job)
            curve.append(loss_of(self.load(state)(rows.x), rows.y))
            job.progress(epoch + 1, epochs)
            if hybrid and settled(curve, job.settings["tol"], job.settings["n_iter_no_change"]):
                break
        job.progress(epochs, epochs)
        return Fitted(state, curve, True)

    def _step(
        self,
        estimator: Any,
        rows: Rows,
        batch: Array,
        frozen: list[int],
        job: Job,
        parent: State,
    ) -> None:
        """One step of the optimiser on one batch, with the frozen layers put back."""
        with convergence([]):
            estimator.partial_fit(rows.x[batch], rows.y[batch])
        for layer in frozen:
            estimator.coefs_[layer][...] = parent.tensors[f"layer.{layer}.weights"]
            estimator.intercepts_[layer][...] = parent.tensors[f"layer.{layer}.bias"]
        # Of a quadratic pull: the step that may be as strong as it likes and never overshoots.
        back = job.settings["learning_rate_init"] * job.pull
        back /= 1 + back
        for layer in range(len(estimator.coefs_)) if back else ():
            if layer not in frozen and f"layer.{layer}" not in job.key_groups:
                old = parent.tensors[f"layer.{layer}.weights"]
                estimator.coefs_[layer] -= back * (estimator.coefs_[layer] - old)
                bias = parent.tensors[f"layer.{layer}.bias"]
                estimator.intercepts_[layer] -= back * (estimator.intercepts_[layer] - bias)

    def _reset(self, estimator: Any, layer: int, rng: np.random.Generator) -> None:
        """New random values for one layer, as scikit-learn draws them."""
        weights = estimator.coefs_[layer]
        factor = 2.0 if estimator.activation == "logistic" else 6.0
        bound = np.sqrt(factor / sum(weights.shape))
        weights[...] = rng.uniform(-bound, bound, weights.shape)
        estimator.intercepts_[layer][...] = rng.uniform(-bound, bound, weights.shape[1])

    def _restore(self, estimator: Any, state: State) -> None:
        """Put stored layers into an estimator, ready to predict and to go on."""
        architecture = state.architecture
        layers = len(state.groups)
        hidden = [int(size) for size in architecture["hidden_layer_sizes"]]
        classes = architecture.get("classes")
        outputs = 1 if classes is None or len(classes) == 2 else len(classes)
        units = [architecture["n_features"], *hidden, outputs]
        estimator.coefs_ = [
            np.array(self.shape(state, f"layer.{i}.weights", units[i], units[i + 1]))
            for i in range(len(units) - 1)
        ]
        estimator.intercepts_ = [
            np.array(self.shape(state, f"layer.{i}.bias", units[i + 1]))
            for i in range(len(units) - 1)
        ]
        estimator.n_layers_, estimator.n_outputs_ = layers + 1, outputs
        estimator.n_features_in_ = units[0]
        estimator.out_activation_ = "identity"
        if classes is not None:
            estimator.out_activation_ = "logistic" if outputs == 1 else "softmax"
            estimator.classes_ = np.arange(len(classes))
            estimator._label_binarizer = LabelBinarizer().fit(estimator.classes_)
        estimator.n_iter_, estimator.t_ = 0, 0
        estimator.loss_curve_, estimator._no_improvement_count = [], 0
        estimator.best_loss_, estimator.validation_scores_ = np.inf, None
        estimator.early_stopping = False

    def _state(self, estimator: Any, rows: Rows, job: Job) -> State:
        architecture = self.architecture(rows, job)
        tensors: dict[str, Array] = {}
        groups = {}
        layers = zip(estimator.coefs_, estimator.intercepts_, strict=True)
        for i, (weights, bias) in enumerate(layers):
            made = {f"layer.{i}.weights": np.array(weights), f"layer.{i}.bias": np.array(bias)}
            groups[f"layer.{i}"] = list(made)
            tensors |= made
        return State(architecture, tensors, groups)

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        task = Task(state.architecture["task"])
        kept = {name: state.architecture[name] for name in self.structural}
        estimator = self.estimator(task, {**self.defaults(task), **kept}, 0)
        self._restore(estimator, state)
        classes = state.architecture.get("classes")
        if classes is None:
            return lambda x: Predictions(values=np.asarray(estimator.predict(x)))
        return lambda x: class_predictions(classes, estimator.predict_proba(x))


class MlpClassifier(_Mlp):
    """Classification by a multi-layer perceptron."""

    name = "sklearn.mlp_classifier"
    tasks = CLASSIFICATION

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return ClassifierEstimator(**self.passed_of(settings), random_state=seed)


class MlpRegressor(_Mlp):
    """Regression by a multi-layer perceptron."""

    name = "sklearn.mlp_regressor"
    tasks = REGRESSION

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return RegressorEstimator(**self.passed_of(settings), random_state=seed)


def _index(group: str) -> int:
    return int(group.removeprefix("layer."))
