import pytest

from tidegate.domain.errors import WrongUsage
from tidegate.domain.features import OPTIONS, FeatureRule, Way
from tidegate.domain.model import ModelSpec
from tidegate.process.models import parse_model

GIVEN = {"model": "m", "adapter": "sklearn.ridge", "task": "regression", "target": "y"}


def _parsed(features, **more):
    return parse_model({**GIVEN, "features": features, **more})


def test_a_word_is_short_for_what_a_column_becomes():
    spec = _parsed({"city": "target", "age": {"scale": "robust"}, "default": {"many": "hash"}})
    assert spec.features["city"] == FeatureRule(way=Way.TARGET)
    assert _parsed({"city": {"as": "target"}}).features["city"] == spec.features["city"]
    assert _parsed(None).features is None


def test_rules_are_kept_as_they_were_declared():
    rules = {
        "city": {"as": "target", "smooth": 5},
        "note": {"as": "text", "of": "characters", "ngrams": [2, 3], "normalise": False},
        "born": {"as": "date", "parts": ["days"], "since": "1990-01-01", "missing": 0},
    }
    spec = _parsed(rules)
    told = spec.model_dump(mode="json")
    assert ModelSpec.model_validate(told) == spec
    shown = spec.model_dump(mode="json", exclude_none=True)["features"]
    assert shown == {**rules, "born": {**rules["born"], "missing": 0.0}}


@pytest.mark.parametrize("way", Way)
def test_every_option_of_a_way_is_an_option(way):
    assert set(FeatureRule.model_fields) >= OPTIONS[way]


WRONG = {
    "way": ({"a": "targt"}, "'targt' is no word that 'as' takes; did you mean 'target'?"),
    "far": ({"a": "xyz"}, "use one of: number, one_hot, target, hash, date, text, embedding"),
    "option": ({"a": {"scal": "none"}}, "'scal' is no option; did you mean 'scale'?"),
    "word": ({"a": {"scale": "standart"}}, "did you mean 'standard'?"),
    "part": ({"a": {"parts": ["days", "yeerday"]}}, "did you mean 'yearday'?"),
    "not its own": ({"a": {"as": "hash", "smooth": 2}}, "'hash' takes no 'smooth', but: columns"),
    "target": ({"y": "number"}, "'y' is the target, the key or excluded"),
    "default": ({"default": "hash"}, "'default' speaks of columns of every kind"),
    "many": ({"a": {"many": "hash"}}, "'many' belongs in 'default'"),
    "parts": ({"default": {"parts": ["days"]}}, "'parts' belongs in a column's own rule"),
    "number": ({"a": 3}, "features.a"),
    "width": ({"a": {"columns": 10**9}}, "features.a.columns"),
    "none": ({"a": {"columns": 0}}, "features.a.columns"),
    "nan": ({"a": {"missing": float("nan")}}, "features.a.missing"),
    "word missing": ({"a": {"missing": "meen"}}, "did you mean 'mean'?"),
    "backwards": ({"a": {"ngrams": [3, 1]}}, "from the shorter to the longer"),
    "long": ({"a": {"ngrams": [1, 50]}}, "features.a.ngrams"),
    "date": ({"a": {"since": "2020-13-01"}}, "features.a.since"),
    "twice": ({"a": {"parts": ["days", "days"]}}, "each of parts is named once"),
    "both": ({"a": {"missing": "keep", "indicator": True}}, "takes no indicator"),
    "list": (["a"], "features"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_is_named_with_what_is_near(wrong):
    rules, says = WRONG[wrong]
    with pytest.raises(WrongUsage) as refused:
        _parsed(rules)
    assert says in str(refused.value)
