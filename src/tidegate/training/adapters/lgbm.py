"""LightGBM: trees appended, or their leaves fitted anew, and nothing ever unpickled."""

from typing import Any

import lightgbm
import numpy as np

from tidegate.domain.errors import DataError
from tidegate.domain.metrics import Task
from tidegate.training.adapters.boosters import BASE, Boosted, Grown, altered, held_out
from tidegate.training.adapters.boosting_trees import threads_for
from tidegate.training.state import Array, Floats, Job, Rows, State

_OBJECTIVES = {Task.BINARY: "binary", Task.MULTICLASS: "multiclass", Task.REGRESSION: "regression"}
#: What a line of a tree's text holds: its field here, and its type.
_STRUCTURE = {
    "split_feature": np.int32, "threshold": np.float64, "decision_type": np.int8,
    "left_child": np.int32, "right_child": np.int32, "shrinkage": np.float64,
}  # fmt: skip
_LEAVES = {"leaf_value": np.float64, "leaf_weight": np.float64, "leaf_count": np.int64}


class LightGbm(Boosted):
    """Boosted trees of LightGBM; see ``Boosted`` for groups and updates.

    A hybrid update fits leaves anew with its ``refit``: ``kept_share`` of each old answer stays.
    """

    name = "lightgbm"
    libraries = {"lightgbm": ">=4.5,<5"}
    passed = {
        "learning_rate": 0.1, "num_leaves": 31, "max_depth": -1, "min_data_in_leaf": 20,
        "min_sum_hessian_in_leaf": 1e-3, "bagging_fraction": 1.0, "bagging_freq": 0,
        "feature_fraction": 1.0, "lambda_l1": 0.0, "lambda_l2": 0.0, "max_bin": 255,
    }  # fmt: skip
    limits = {
        "learning_rate": (1e-6, 10), "num_leaves": (2, 131_072), "max_depth": (-1, 1000),
        "min_data_in_leaf": (0, 1e9), "min_sum_hessian_in_leaf": (0, 1e9),
        "bagging_fraction": (1e-3, 1), "bagging_freq": (0, 1e6), "feature_fraction": (1e-3, 1),
        "lambda_l1": (0, 1e9), "lambda_l2": (0, 1e9), "max_bin": (2, 65_535),
    }  # fmt: skip
    own = {**Boosted.own, "kept_share": (0.0, 0.0, 1.0)}

    def grow(self, rows: Rows, job: Job, standing: Any, rounds: int) -> tuple[Any, list[float]]:
        """A booster of so many more rounds, and the loss after each of them."""
        learned, kept = held_out(rows, job)
        parameters, told = self._parameters(rows, job), dict[str, Any]()
        data = _dataset(learned, parameters)
        watched = data if kept is None else _dataset(kept, parameters, like=data)
        calls: list[Any] = [
            lightgbm.record_evaluation(told),
            lambda env: job.progress(env.iteration - env.begin_iteration + 1, rounds),
        ]
        if kept is not None:
            calls.append(lightgbm.early_stopping(job.settings["patience"], verbose=False))
        before = 0 if standing is None else standing.current_iteration()
        model = lightgbm.train(
            parameters, data, rounds, valid_sets=[watched], valid_names=["rows"],
            init_model=standing, callbacks=calls,
        )  # fmt: skip
        job.progress(rounds, rounds)
        if kept is not None and model.best_iteration > 0:
            best = max(model.best_iteration, before + 1)
            model = lightgbm.Booster(model_str=model.model_to_string(num_iteration=best))
        return model, [float(loss) for loss in next(iter(told["rows"].values()))]

    def refit(self, rows: Rows, job: Job, standing: Any) -> Any:
        """The same booster with its leaves fitted to these rows."""
        standing.params = self._parameters(rows, job)
        return standing.refit(rows.x, rows.y, decay_rate=job.settings["kept_share"])

    def _parameters(self, rows: Rows, job: Job) -> dict[str, Any]:
        made = {name: job.settings[name] for name in self.passed}
        made |= {
            "objective": _OBJECTIVES[job.task], "seed": job.seed, "verbose": -1,
            "deterministic": True, "force_row_wise": True, "num_threads": threads_for(rows.x),
        }  # fmt: skip
        if job.task is Task.MULTICLASS:
            made["num_class"] = len(rows.classes or [])
        return made

    def taken_apart(self, model: Any) -> tuple[dict[str, Array], list[Grown]]:
        """Its trees; all answers of LightGBM begin in the first one, so ``base`` is none."""
        text = model.model_to_string(num_iteration=-1)
        body = text.split("\nTree=")[1:]
        trees = [_tree(part.split("\n\n")[0]) for part in body]
        if not trees:
            raise DataError(
                "the rows give LightGBM nothing to split",
                do="add rows, or lower min_data_in_leaf",
            )
        return {BASE: np.zeros(0)}, trees

    def put_together(self, state: State, trees: list[Grown]) -> Any:
        """The booster again."""
        features = state.architecture["n_features"]
        classes = len(state.architecture.get("classes", []))
        task = Task(state.architecture["task"])
        outputs = classes if task is Task.MULTICLASS else 1
        self.shape(state, BASE, 0)
        altered(self.name, len(trees) % outputs == 0 and bool(trees))
        for tree in trees:
            _check(self.name, tree, features)
        objective = {
            Task.BINARY: "binary sigmoid:1",
            Task.MULTICLASS: f"multiclass num_class:{outputs}",
            Task.REGRESSION: "regression",
        }[task]
        head = [
            "tree", "version=v4", f"num_class={outputs}", f"num_tree_per_iteration={outputs}",
            "label_index=0", f"max_feature_idx={features - 1}", f"objective={objective}",
            "feature_names=" + " ".join(f"Column_{n}" for n in range(features)),
            "feature_infos=" + " ".join(["[-1e+300:1e+300]"] * features), "",
        ]  # fmt: skip
        parts = [f"Tree={n}\n{_told(tree)}\n" for n, tree in enumerate(trees)]
        text = "\n".join(
            [*head, *parts, "end of trees", "", "parameters:", "end of parameters", ""]
        )
        return lightgbm.Booster(model_str=text)

    def answers(self, model: Any, x: Floats) -> Floats:
        """What a model says of rows."""
        return np.asarray(model.predict(x, num_threads=1), dtype=np.float64)


def _dataset(rows: Rows, parameters: dict[str, Any], like: Any = None) -> Any:
    binning = {name: parameters[name] for name in ("max_bin", "verbose", "num_threads")}
    return lightgbm.Dataset(rows.x, rows.y, reference=like, params=binning, free_raw_data=False)


def _tree(text: str) -> Grown:
    lines = dict(line.split("=", 1) for line in text.splitlines()[1:] if "=" in line)

    def read(fields: dict[str, Any]) -> dict[str, Array]:
        return {
            field: np.array([float(v) for v in lines.get(field, "").split()]).astype(dtype)
            for field, dtype in fields.items()
        }

    leaves = read(_LEAVES)
    for field in ("leaf_weight", "leaf_count"):  # a tree of one leaf tells neither
        if len(leaves[field]) != len(leaves["leaf_value"]):
            leaves[field] = np.zeros(len(leaves["leaf_value"]), _LEAVES[field])
    return Grown(read(_STRUCTURE), leaves)


def _check(adapter: str, tree: Grown, features: int) -> None:
    """Raise Incompatible for nodes that lead nowhere: compiled code follows them unchecked."""
    s, a = tree.structure, tree.leaves
    altered(adapter, set(s) >= set(_STRUCTURE) and set(a) >= set(_LEAVES))
    inner, leaves = len(s["split_feature"]), len(a["leaf_value"])
    own = np.arange(inner)
    sides = [s["left_child"], s["right_child"]]
    altered(
        adapter,
        leaves == inner + 1
        and all(len(s[field]) == inner for field in list(_STRUCTURE)[:-1])
        and all(len(a[field]) == leaves for field in _LEAVES)
        and len(s["shrinkage"]) == 1
        and all(
            bool((((side > own) & (side < inner)) | ((side < 0) & (~side < leaves))).all())
            for side in sides
        )
        and len(np.unique(np.concatenate(sides))) == 2 * inner
        and bool(((s["split_feature"] >= 0) & (s["split_feature"] < features)).all())
        # Categories would point into tables that these trees have none of.
        and not (s["decision_type"] & 1).any()
        and all(bool(np.isfinite(x).all()) for x in (a["leaf_value"], s["shrinkage"])),
    )


def _told(tree: Grown) -> str:
    s, a = tree.structure, tree.leaves
    lines = [f"num_leaves={len(a['leaf_value'])}", "num_cat=0"]
    for values in (s, a):
        lines += [
            f"{field}={' '.join(repr(v) for v in values[field].tolist())}"
            for field in (_STRUCTURE if values is s else _LEAVES)
            if field != "shrinkage" and (len(a["leaf_value"]) > 1 or field == "leaf_value")
        ]
    lines += ["is_linear=0", f"shrinkage={float(s['shrinkage'][0])!r}", ""]
    return "\n".join(lines)
