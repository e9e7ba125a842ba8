"""The adapters there are: Tidegate's own, and those that installed packages announce."""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from tidegate.domain.errors import WrongUsage
from tidegate.training.nearest import known_or_refuse
from tidegate.training.state import Adapter

#: Where each adapter is: a file in ``adapters`` and a class in it. One is imported when it is
#: asked for, so that a command that trains nothing does not wait for scikit-learn.
_ADAPTERS = {
    "torch": ("pytorch", "PyTorch"),
    "xgboost": ("xgb", "XgBoost"),
    "lightgbm": ("lgbm", "LightGbm"),
    "tensors": ("tensors", "Tensors"),
    "sklearn.logistic_regression": ("logistic", "LogisticRegression"),
    "sklearn.linear_regression": ("linear", "LinearRegression"),
    "sklearn.ridge": ("linear", "Ridge"),
    "sklearn.sgd_classifier": ("sgd", "SgdClassifier"),
    "sklearn.sgd_regressor": ("sgd", "SgdRegressor"),
    "sklearn.mlp_classifier": ("mlp", "MlpClassifier"),
    "sklearn.mlp_regressor": ("mlp", "MlpRegressor"),
    "sklearn.gaussian_nb": ("naive_bayes", "GaussianNaiveBayes"),
    "sklearn.hist_gradient_boosting": ("boosting", "HistGradientBoosting"),
    "sklearn.random_forest": ("forest", "RandomForest"),
    "sklearn.linear_svc": ("svm", "LinearSvc"),
    "sklearn.kmeans": ("kmeans", "KMeans"),
    "sklearn.isolation_forest": ("isolation", "IsolationForest"),
    "sklearn.pca_logistic_regression": ("pca", "PcaLogisticRegression"),
    "sklearn.pca_ridge": ("pca", "PcaRidge"),
}

#: The extra that brings what an adapter needs, beside Tidegate itself.
_EXTRAS = {"torch": "torch", "xgboost": "boosting", "lightgbm": "boosting"}

#: Where installed packages announce adapters of their own: a name, and a class of the protocol.
ENTRY_POINTS = "tidegate.adapters"


def known_adapters() -> list[str]:
    """The names of all adapters, those of other packages included, sorted."""
    return sorted({*_ADAPTERS, *_announced()})


def adapter(name: str) -> Adapter:
    """The adapter of that name; an unknown one raises WrongUsage with the nearest known.

    Raises WrongUsage as well where what it needs is not installed, or cannot be imported.
    """
    known_or_refuse(name, known_adapters(), "there is no adapter '{name}'")
    return _made(name)


@cache
def _announced() -> dict[str, EntryPoint]:
    """Adapters of installed packages; a name of Tidegate's own cannot be taken."""
    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point for point in found if point.name not in _ADAPTERS}


@cache
def _made(name: str) -> Adapter:
    if name in _ADAPTERS:
        return _own(name)
    point = _announced()[name]
    try:
        made: Adapter = point.load()()
    except Exception as error:  # whatever it is, it is that package's to mend
        raise WrongUsage(
            "adapter '{name}' of {package} cannot be loaded: {kind}: {problem}",
            do="mend or upgrade that package, or choose another adapter",
            name=name,
            package=point.dist.name if point.dist else point.value,
            kind=type(error).__name__,
            problem=str(error),
        ) from error
    return made


def _own(name: str) -> Adapter:
    file, kind = _ADAPTERS[name]
    try:
        made: Adapter = getattr(import_module(f"tidegate.training.adapters.{file}"), kind)()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(name)
        if extra is None:
            raise
        raise WrongUsage(
            "adapter '{name}' needs {library}, which is not installed",
            do="install it with: pip install 'tidegate[{extra}]'",
            name=name,
            library=str(error.name),
            extra=extra,
        ) from None
    return made
