"""A model of every kind of column: what it learned to read travels with its parameters."""

import json
from datetime import date, timedelta

import numpy as np
import polars as pl

from tidegate.data.features.transform import restored
from tidegate.params.checkout import load, load_manifest
from tidegate.params.identity import version_id
from tidegate.process.loading import Fitted, restore

MODEL = {
    "model": "m",
    "task": "binary",
    "target": "y",
    "adapter": "sklearn.logistic_regression",
    "features": {"note": {"as": "text", "columns": 16}, "default": {"scale": "robust"}},
    "policy": {"rollout": {"steps": [{"share": 0.5, "min_labels": 40}]}},
}


def _rows(seed, count=400):
    rng = np.random.default_rng(seed)
    shop, y = rng.integers(0, 60, count), rng.integers(0, 2, count)
    told = np.where(rng.random(count) < 0.9, y, 1 - y)
    amounts = [None if n % 10 == 0 else float(a) for n, a in enumerate(rng.normal(y, 2))]
    days = [date(2000, 1, 1) + timedelta(int(n) * 11) for n in shop]
    pairs = list(zip(shop, told, strict=True))
    return pl.DataFrame(
        {
            "amount": amounts,
            "shop": [f"shop {2 * n + t}" for n, t in pairs],
            "since": [day.isoformat() for day in days],
            "note": [f"{('bad', 'good')[t]} goods number {n}" for n, t in pairs],
            "y": y,
        }
    )


def test_what_was_fitted_is_served(team):
    team.as_("root").apply_model(MODEL)
    update = team.approved(_rows(1))
    home = team.ws.home
    _, manifest = team.ws.version("m@1")
    fitted = restore(home.objects, manifest)
    assert [f.name for f in fitted.transform.target] == ["shop"]
    assert [f.name for f in fitted.transform.dates] == ["since"]
    assert team.ws.reproduce(update.id).same

    live = _rows(2, 50).drop("y")
    serving = team.ws.serving()
    whole = serving.infer("m", live)
    said = [
        serving.infer("m", pl.DataFrame([json.loads(json.dumps(row))]))[0]
        for row in live.to_dicts()
    ]
    direct = fitted.predictor().predict(live).probabilities
    # The features are the same to the bit; a product of matrices is not, in another company.
    for answers in (said, whole):
        given = np.array([list(answer.probabilities.values()) for answer in answers])
        assert np.abs(given - direct).max() < 1e-12
    assert direct[:, 1].std() > 0.3, "it learned something"
    assert {column.name for column in serving.signature("m").inputs} == {*live.columns}


def test_the_table_is_a_part_of_the_version(team):
    team.as_("root").apply_model(MODEL)
    team.approved(_rows(1))
    home = team.ws.home
    _, manifest = team.ws.version("m@1")
    names = [tensor.name for tensor in manifest.tensors if tensor.name.startswith("transform.")]
    assert names == [f"transform.target.0.{part}" for part in ("ends", "texts", "values")]
    assert "shop 3" not in json.dumps(manifest.structure.transform)

    fitted = restore(home.objects, manifest)
    arrays = fitted.transform.arrays()
    arrays["target.0.values"] = arrays["target.0.values"] + 1
    other = restored(fitted.transform.stored(), arrays)
    changed = Fitted(fitted.adapter, fitted.state, other, fitted.libraries)
    again = changed.commit(home.objects, [manifest.id])
    assert again.id != manifest.id
    assert version_id(manifest.structure, manifest.tensors) == manifest.id
    assert restore(home.objects, load_manifest(home.objects, again.id)).transform == other
    assert set(load(home.objects, again)) == set(load(home.objects, manifest))
