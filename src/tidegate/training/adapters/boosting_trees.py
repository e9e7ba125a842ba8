"""Boosted trees as plain arrays, and back in scikit-learn's own terms."""

from typing import Any, NoReturn

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from tidegate.domain.errors import Incompatible
from tidegate.training.adapters.scikit import (
    SklearnAdapter,
)
from tidegate.training.adapters.trees import check_nodes, tree_groups
from tidegate.training.state import Array, Floats, State

#: From so many feature values on, a second thread pays for its start.
_LARGE = 2_000_000

_NO_CATEGORIES = np.zeros((0, 8), dtype=np.uint32)


def threads_for(x: Floats) -> int:
    """One thread, or two for many rows, and never more.

    Gradients are summed by as many threads as OpenMP has, in the order in which they finish. Of
    two the order does not matter; of more it does, and the last bit of the trees with it.
    """
    return 2 if x.size >= _LARGE else 1


def tree_tensors(group: str, rounds: list[list[Any]]) -> dict[str, Array]:
    """The trees of a group as flat arrays, one tree after the other.

    A threshold is kept as the bin it ends, and values in leaves only, so nothing is infinite.
    """
    nodes = [tree.nodes for trees in rounds for tree in trees]
    flat = np.concatenate(nodes) if nodes else np.zeros(0, dtype=PREDICTOR_RECORD_DTYPE)
    leaf = flat["is_leaf"] != 0
    return {
        f"{group}.sizes": np.array([len(tree) for tree in nodes], dtype=np.int32),
        f"{group}.left": np.where(leaf, 0, flat["left"]).astype(np.int32),
        f"{group}.right": np.where(leaf, 0, flat["right"]).astype(np.int32),
        f"{group}.feature": np.where(leaf, 0, flat["feature_idx"]).astype(np.int32),
        f"{group}.bin": np.where(leaf, 0, flat["bin_threshold"]).astype(np.uint8),
        f"{group}.missing_left": (flat["missing_go_to_left"] != 0) & ~leaf,
        f"{group}.value": flat["value"][leaf].astype(np.float64),
    }


class BoostedTrees:
    """A state's trees, bins and loss in scikit-learn's own terms."""

    def __init__(self, how: SklearnAdapter, state: State):
        self.how, self.state = how, state
        architecture = state.architecture
        self.features: int = architecture["n_features"]
        classes = architecture.get("classes")
        self.outputs = 1 if classes is None or len(classes) == 2 else len(classes)
        self.baseline = how.shape(state, "baseline", self.outputs).reshape(1, -1)
        self.thresholds = self._thresholds()
        self.rounds = {group: self._rounds(group) for group in tree_groups(state)}
        self.features_map = np.zeros(self.features, dtype=np.uint32)

    def raw(self, x: Floats) -> Floats:
        """Sums of leaf values ``(n_rows, n_outputs)``, added up as scikit-learn does."""
        raw = np.zeros((len(x), self.outputs), order="F")
        raw += self.baseline
        threads = threads_for(x)
        for rounds in self.rounds.values():
            for trees in rounds:
                for k, tree in enumerate(trees):
                    raw[:, k] += tree.predict(x, _NO_CATEGORIES, self.features_map, threads)
        return raw

    def hand_to(self, estimator: Any, groups: list[str], seed: int) -> int:
        """Make ``estimator`` go on from the trees of these groups; how many rounds they are."""
        predictors = [trees for group in groups for trees in self.rounds[group]]
        if not predictors:  # a list that is not empty is how scikit-learn knows a fitted one
            predictors.append([self._nothing() for _ in range(self.outputs)])
        estimator.warm_start = True
        estimator.bins = self._mapper()
        estimator.n_trees_per_iteration_ = self.outputs
        estimator._baseline_prediction = self.baseline.copy()
        estimator._predictors = predictors
        estimator._random_seed = seed
        estimator._feature_subsample_rng = np.random.default_rng([seed, len(predictors)])
        estimator._scorer = None
        estimator.train_score_ = estimator.validation_score_ = np.zeros(0)
        return len(predictors)

    def _nothing(self) -> TreePredictor:
        """A tree of one leaf that adds nothing."""
        nodes = np.zeros(1, dtype=PREDICTOR_RECORD_DTYPE)
        nodes["is_leaf"] = 1
        return TreePredictor(nodes, _NO_CATEGORIES, _NO_CATEGORIES)

    def _thresholds(self) -> list[Floats]:
        counts = self.how.shape(self.state, "binning.counts", self.features)
        flat = self.how.shape(self.state, "binning.thresholds", None)
        if counts.min() < 0 or counts.max() > 254 or counts.sum() != len(flat):
            self._refuse()
        return np.split(np.array(flat), np.cumsum(counts)[:-1])

    def _mapper(self) -> _BinMapper:
        mapper = _BinMapper(n_bins=self.state.architecture["max_bins"] + 1)
        mapper.bin_thresholds_ = self.thresholds
        mapper.n_bins_non_missing_ = np.array([len(t) + 1 for t in self.thresholds], np.uint32)
        mapper.missing_values_bin_idx_ = self.state.architecture["max_bins"]
        mapper.is_categorical_ = np.zeros(self.features, dtype=np.uint8)
        return mapper

    def _rounds(self, group: str) -> list[list[TreePredictor]]:
        sizes = self.how.shape(self.state, f"{group}.sizes", None).astype(np.int64)
        total = int(sizes.sum())
        left, right, feature, bins, missing = (
            self.how.shape(self.state, f"{group}.{field}", total)
            for field in ("left", "right", "feature", "bin", "missing_left")
        )
        check_nodes(self.how.name, sizes, left, right, feature, self.features)
        leaf = left == 0
        value = self.how.shape(self.state, f"{group}.value", int(leaf.sum()))
        lengths = np.array([len(t) for t in self.thresholds])
        if len(sizes) % self.outputs or (bins > lengths[feature])[~leaf].any():
            self._refuse()
        # One threshold more a feature, of infinity: the split between missing and all the rest.
        ladder = np.concatenate([np.append(t, np.inf) for t in self.thresholds])
        nodes = np.zeros(total, dtype=PREDICTOR_RECORD_DTYPE)
        nodes["is_leaf"], nodes["left"], nodes["right"] = leaf, left, right
        nodes["feature_idx"], nodes["bin_threshold"] = feature, bins
        nodes["missing_go_to_left"] = missing
        nodes["num_threshold"] = ladder[(np.cumsum(lengths + 1) - lengths - 1)[feature] + bins]
        nodes["value"][leaf] = value
        trees = [
            TreePredictor(part, _NO_CATEGORIES, _NO_CATEGORIES)
            for part in np.split(nodes, np.cumsum(sizes)[:-1])
        ] if len(sizes) else []  # fmt: skip
        return [trees[at : at + self.outputs] for at in range(0, len(trees), self.outputs)]

    def _refuse(self) -> NoReturn:
        raise Incompatible(
            "adapter '{adapter}' found bins that its trees do not fit",
            do="take the parameters from their source again; these were altered",
            adapter=self.how.name,
        )
