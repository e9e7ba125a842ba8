"""XGBoost: trees appended, or their leaves fitted anew, and nothing ever unpickled."""

import json
from typing import Any

import numpy as np
import xgboost

from tidegate.domain.metrics import Task
from tidegate.training.adapters.boosters import BASE, Boosted, Grown, altered, held_out
from tidegate.training.adapters.boosting_trees import threads_for
from tidegate.training.state import Array, Floats, Job, Rows, State

_OBJECTIVES = {
    Task.BINARY: "binary:logistic",
    Task.MULTICLASS: "multi:softprob",
    Task.REGRESSION: "reg:squarederror",
}


class XgBoost(Boosted):
    """Boosted trees of XGBoost; see ``Boosted`` for groups and updates.

    Leaves are fitted anew by its ``refresh`` updater, tree after tree.
    """

    name = "xgboost"
    libraries = {"xgboost": ">=3.1,<4"}
    passed = {
        "learning_rate": 0.1, "max_depth": 6, "max_leaves": 0, "min_child_weight": 1.0,
        "subsample": 1.0, "colsample_bytree": 1.0, "reg_lambda": 1.0, "reg_alpha": 0.0,
        "gamma": 0.0, "max_bin": 256,
    }  # fmt: skip
    limits = {
        "learning_rate": (1e-6, 10), "max_depth": (0, 60), "max_leaves": (0, 100_000),
        "min_child_weight": (0, 1e9), "subsample": (1e-3, 1), "colsample_bytree": (1e-3, 1),
        "reg_lambda": (0, 1e9), "reg_alpha": (0, 1e9), "gamma": (0, 1e9), "max_bin": (2, 65_535),
    }  # fmt: skip

    def grow(self, rows: Rows, job: Job, standing: Any, rounds: int) -> tuple[Any, list[float]]:
        """A booster of so many more rounds, and the loss after each of them."""
        learned, kept = held_out(rows, job)
        data = _matrix(learned)
        watched = [(data if kept is None else _matrix(kept), "rows")]
        told: dict[str, Any] = {}
        model = xgboost.train(
            self._parameters(rows, job),
            data,
            rounds,
            evals=watched,
            evals_result=told,
            verbose_eval=False,
            xgb_model=standing,
            early_stopping_rounds=job.settings["patience"] or None,
            callbacks=[_Told(job, rounds)],
        )
        job.progress(rounds, rounds)
        if kept is not None:
            model = model[: model.best_iteration + 1]
        curve = [float(loss) for loss in next(iter(told["rows"].values()))]
        return model, curve

    def refit(self, rows: Rows, job: Job, standing: Any) -> Any:
        """The same booster with its leaves fitted to these rows."""
        parameters = self._parameters(rows, job) | {
            "process_type": "update", "updater": "refresh", "refresh_leaf": True,
        }  # fmt: skip
        parameters.pop("tree_method")
        rounds = standing.num_boosted_rounds()
        return xgboost.train(parameters, _matrix(rows), rounds, xgb_model=standing)

    def _parameters(self, rows: Rows, job: Job) -> dict[str, Any]:
        made = {name: job.settings[name] for name in self.passed}
        made |= {
            "objective": _OBJECTIVES[job.task], "tree_method": "hist", "seed": job.seed,
            "verbosity": 0, "nthread": threads_for(rows.x),
        }  # fmt: skip
        if job.task is Task.MULTICLASS:
            made["num_class"] = len(rows.classes or [])
        return made

    def taken_apart(self, model: Any) -> tuple[dict[str, Array], list[Grown]]:
        """Where the booster's answers begin, and its trees."""
        told = json.loads(bytes(model.save_raw("json")))["learner"]
        begins = json.loads(told["learner_model_param"]["base_score"])
        inner = told["gradient_booster"]["model"]
        trees = [
            _tree(tree, output)
            for tree, output in zip(inner["trees"], inner["tree_info"], strict=True)
        ]
        return {BASE: np.atleast_1d(np.asarray(begins, dtype=np.float32))}, trees

    def put_together(self, state: State, trees: list[Grown]) -> Any:
        """The booster again."""
        features = state.architecture["n_features"]
        classes = len(state.architecture.get("classes", []))
        task = Task(state.architecture["task"])
        outputs = classes if task is Task.MULTICLASS else 1
        begins = self.shape(state, BASE, None)
        altered(self.name, len(begins) == outputs and len(trees) % outputs == 0 and bool(trees))
        altered(self.name, bool(np.isfinite(begins).all()))
        altered(self.name, task is not Task.BINARY or bool(((begins > 0) & (begins < 1)).all()))
        for tree in trees:
            _check(self.name, tree, features, outputs)
        objective: dict[str, Any] = {"name": _OBJECTIVES[task]}
        if task is Task.MULTICLASS:
            objective["softmax_multiclass_param"] = {"num_class": str(outputs)}
        else:
            objective["reg_loss_param"] = {"scale_pos_weight": "1"}
        rounds = range(0, len(trees) + 1, outputs)
        document = {
            "version": [int(part) for part in xgboost.__version__.split(".")[:3]],
            "learner": {
                "attributes": {}, "feature_names": [], "feature_types": [],
                "objective": objective,
                "learner_model_param": {
                    "base_score": json.dumps([float(value) for value in begins]),
                    "boost_from_average": "1", "num_class": str(outputs if outputs > 1 else 0),
                    "num_feature": str(features), "num_target": "1",
                },
                "gradient_booster": {"name": "gbtree", "model": {
                    "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
                    "gbtree_model_param": {
                        "num_parallel_tree": "1", "num_trees": str(len(trees)),
                    },
                    "iteration_indptr": list(rounds),
                    "tree_info": [int(tree.structure["output"][0]) for tree in trees],
                    "trees": [_told(tree, n, features) for n, tree in enumerate(trees)],
                }},
            },
        }  # fmt: skip
        booster = xgboost.Booster({"nthread": 1, "verbosity": 0})
        booster.load_model(bytearray(json.dumps(document).encode()))
        return booster

    def answers(self, model: Any, x: Floats) -> Floats:
        """What a model says of rows."""
        return np.asarray(model.inplace_predict(x), dtype=np.float64)


class _Told(xgboost.callback.TrainingCallback):
    def __init__(self, job: Job, rounds: int):
        super().__init__()
        self._job, self._rounds, self._done = job, rounds, 0

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._done += 1
        self._job.progress(self._done, self._rounds)
        return False


def _matrix(rows: Rows) -> Any:
    return xgboost.DMatrix(rows.x, label=rows.y, nthread=threads_for(rows.x))


def _tree(told: dict[str, Any], output: int) -> Grown:
    left = np.asarray(told["left_children"], dtype=np.int32)
    leaf, values = left == -1, np.asarray(told["split_conditions"], dtype=np.float32)
    right = np.asarray(told["right_children"], dtype=np.int32)
    structure: dict[str, Array] = {
        "left": np.where(leaf, 0, left),
        "right": np.where(leaf, 0, right),
        "feature": np.where(leaf, 0, np.asarray(told["split_indices"], dtype=np.int32)),
        "threshold": np.where(leaf, np.float32(0), values),
        "missing_left": np.asarray(told["default_left"], dtype=bool) & ~leaf,
        "output": np.array([output], dtype=np.int32),
    }
    cover = np.asarray(told["sum_hessian"], dtype=np.float32)
    return Grown(structure, {"value": values[leaf], "cover": cover})


def _check(adapter: str, tree: Grown, features: int, outputs: int) -> None:
    """Raise Incompatible for nodes that lead nowhere: compiled code follows them unchecked."""
    s, a = tree.structure, tree.leaves
    fields = ("left", "right", "feature", "threshold", "missing_left", "output")
    altered(adapter, set(s) >= set(fields) and set(a) >= {"value", "cover"})
    size = len(s["left"])
    own, inner = np.arange(size), s["left"] != 0
    altered(
        adapter,
        size > 0
        and all(len(s[field]) == size for field in fields[:-1])
        and len(s["output"]) == 1
        and 0 <= int(s["output"][0]) < outputs
        and len(a["value"]) == int((~inner).sum())
        and len(a["cover"]) == size
        and bool((inner == (s["right"] != 0)).all())
        and all(
            bool(((s[side] > own) & (s[side] < size))[inner].all()) for side in ("left", "right")
        )
        and len(np.unique(np.concatenate([s["left"][inner], s["right"][inner]]))) == size - 1
        and bool(((s["feature"] >= 0) & (s["feature"] < features))[inner].all()),
    )


def _told(tree: Grown, number: int, features: int) -> dict[str, Any]:
    s, a = tree.structure, tree.leaves
    size, leaf = len(s["left"]), s["left"] == 0
    values = s["threshold"].astype(np.float64)
    values[leaf] = a["value"]
    parents = np.full(size, 2**31 - 1, np.int64)
    for side in ("left", "right"):
        parents[s[side][~leaf]] = np.flatnonzero(~leaf)
    nothing = [0.0] * size
    return {
        "base_weights": nothing, "categories": [], "categories_nodes": [],
        "categories_segments": [], "categories_sizes": [],
        "default_left": s["missing_left"].astype(int).tolist(), "id": number,
        "left_children": np.where(leaf, -1, s["left"]).tolist(), "loss_changes": nothing,
        "parents": parents.tolist(),
        "right_children": np.where(leaf, -1, s["right"]).tolist(),
        "split_conditions": values.tolist(), "split_indices": s["feature"].tolist(),
        "split_type": [0] * size, "sum_hessian": a["cover"].astype(np.float64).tolist(),
        "tree_param": {
            "num_deleted": "0", "num_feature": str(features), "num_nodes": str(size),
            "size_leaf_vector": "1",
        },
    }  # fmt: skip
