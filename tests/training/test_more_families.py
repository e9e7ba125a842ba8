"""K-means, isolation forests, principal components and support vector machines."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapter import Job, adapter, load, train
from tidegate.training.steps import moved_tensors


def learn(name, x, y, task=Task.BINARY, parent=None, strategy=Strategy.FULL, **job):
    asked = Job(task=task, strategy=strategy, parent=parent, seed=3, **job)
    return train(adapter(name), x, y, asked).state


def rare(seed=0):
    """Two hundred rows in twenty lie far out."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2000, 4))
    y = np.zeros(2000, int)
    y[:100] = 1
    x[:100] += rng.choice([-5, 5], size=(100, 4))
    return x, y


def test_an_isolation_forest_scores_as_scikit_learn_does():
    x, y = rare()
    state = learn("sklearn.isolation_forest", x, y)
    seed = int(np.random.SeedSequence([3, 0]).generate_state(1)[0])
    theirs = IsolationForest(n_estimators=100, max_samples=256, random_state=seed).fit(x)
    found = load("sklearn.isolation_forest", state).predict(x)
    order = np.argsort(theirs.score_samples(x), kind="stable")
    assert set(order[:100]) == set(np.argsort(-found.probabilities[:, 1], kind="stable")[:100])
    assert np.mean(found.values == y) > 0.97
    assert np.mean(found.values == 1) == pytest.approx(0.05, abs=0.002)


def test_k_means_counts_on_and_answers_as_the_rows_around():
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0], [8, 0], [0, 8], [8, 8]])
    spot = rng.integers(0, 4, 800)
    x = centers[spot] + rng.normal(size=(800, 2))
    y = np.array(["a", "b"])[((spot == 1) | (spot == 2)).astype(int)]
    quick = {"n_clusters": 4}
    first = learn("sklearn.kmeans", x, y, settings=quick)
    assert np.mean(load("sklearn.kmeans", first).predict(x).values == y) > 0.99
    child = learn("sklearn.kmeans", x + np.array([0.5, 0]), y, parent=first, settings=quick,
                  strategy=Strategy.INCREMENTAL)  # fmt: skip
    both = np.concatenate([x, x + np.array([0.5, 0])])
    mean = both[load("sklearn.kmeans", child).predict(both).values == "b"].mean(axis=0)
    weights = child.tensors["weight"]
    assert weights.sum() == 1600
    assert child.tensors["answers"].sum() == 1600
    assert np.abs(mean - [4.25, 4]).max() < 0.3
    frozen = learn("sklearn.kmeans", x, y, parent=first, settings=quick,
                   strategy=Strategy.INCREMENTAL, trainable_groups=["answers"])  # fmt: skip
    assert not moved_tensors(first, frozen, "centers")
    with pytest.raises(DataError, match="make no 32 clusters"):
        learn("sklearn.kmeans", x[:20], y[:20])


def test_principal_components_are_those_of_a_pipeline_and_stand_still():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 8))
    y = (x[:, 0] > 0).astype(int)
    name, three = "sklearn.pca_logistic_regression", {"n_components": 3}
    first = learn(name, x, y, settings=three)
    theirs = make_pipeline(PCA(3, svd_solver="full"), LogisticRegression(max_iter=1000)).fit(x, y)
    found = load(name, first).predict(x).probabilities
    assert np.allclose(found, theirs.predict_proba(x), atol=1e-4)
    child = learn(name, x[::2], y[::2], parent=first, settings=three,
                  strategy=Strategy.INCREMENTAL)  # fmt: skip
    assert not moved_tensors(first, child, "pca")
    assert moved_tensors(first, child, "coef")
    with pytest.raises(WrongUsage, match="cannot move alone"):
        learn(name, x, y, parent=first, settings=three, strategy=Strategy.INCREMENTAL,
              trainable_groups=["pca", "coef"])  # fmt: skip
    with pytest.raises(DataError, match="no 20 principal components"):
        learn(name, x, y, settings={"n_components": 20})
    most = learn(name, x, y, settings={"n_components": 0.99})
    assert len(most.tensors["pca.components"]) <= 3


def test_a_support_vector_machine_remembers_as_much_as_it_was_sure_of():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 5))
    y = (x @ [1, -1, 0.5, 0, 0] > 0).astype(int)
    first = learn("sklearn.linear_svc", x, y)
    other = (x[:100] @ [-1, 1, 0, 0, 0] > 0).astype(int)
    kept = learn("sklearn.linear_svc", x[:100], other, parent=first,
                 strategy=Strategy.INCREMENTAL)  # fmt: skip
    forgot = learn("sklearn.linear_svc", x[:100], other, parent=first,
                   strategy=Strategy.INCREMENTAL, settings={"memory": 0.0})  # fmt: skip
    right = [np.mean(load("sklearn.linear_svc", s).predict(x).values == y) for s in (kept, forgot)]
    assert right[0] > 0.9 > right[1]
    frozen = learn("sklearn.linear_svc", x, y, parent=first, strategy=Strategy.INCREMENTAL,
                   trainable_groups=["intercept"])  # fmt: skip
    assert not moved_tensors(first, frozen, "coef")
