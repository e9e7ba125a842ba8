"""Chinese for everything that is said: no template without it, none left over, no value lost."""

import ast
import string
from pathlib import Path

import pytest

import tidegate
from tidegate.domain import errors
from tidegate.domain.messages import render, say
from tidegate.domain.zh import ZH
from tidegate.domain.zh.words import WORDS

ROOT = Path(tidegate.__file__).parent
ERRORS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.TidegateError)
}

#: Which argument of a call is a template.
FIRST = {"say", "_tell", "_title"}
SECOND = {"note", "warn", "refuse", "make"}
THIRD = {"known_or_refuse"}


def literals(node):
    """The texts an expression can be, or None where it is no text written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return (literals(node.body) or []) + (literals(node.orelse) or [])
    return None


def arguments(call):
    """The arguments of a call that are templates."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name in FIRST:
        return call.args[:1]
    if name == "progress":  # of a case: what is being done; elsewhere: how much is done
        return [node for node in call.args[:1] if literals(node)]
    if name in SECOND:
        return call.args[1:2]
    if name in THIRD:
        return call.args[2:3]
    if name in ERRORS:
        return call.args[:1] + [k.value for k in call.keywords if k.arg == "do"]
    return []


def templates():
    """Every template in the sources, and the calls whose template is composed on the spot."""
    found, composed = set(), []
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            for node in arguments(call):
                texts = literals(node)
                if texts is not None:
                    found.update(texts)
                elif isinstance(node, (ast.JoinedStr, ast.BinOp)):
                    composed.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    return found, composed


def constants():
    """Every text in the sources: a template may reach its call by a variable."""
    return {
        node.value
        for path in ROOT.rglob("*.py")
        if "zh" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def fields(template):
    return sorted(
        (name, spec) for _, name, spec, _ in string.Formatter().parse(template) if name is not None
    )


def test_every_template_speaks_chinese():
    found, composed = templates()
    assert composed == [], "a template is written out: its text is the key"
    assert len(found) > 600
    assert sorted(found - ZH.keys()) == []


def test_no_translation_is_left_over():
    assert sorted(ZH.keys() - constants() - WORDS.keys()) == []


@pytest.mark.parametrize("template", sorted(ZH))
def test_no_value_is_lost_on_the_way(template):
    assert fields(ZH[template]) == fields(template)
    assert ZH[template].strip()


def test_values_that_are_messages_follow_the_language():
    inner = say("consistent")
    text = say("compared with {rows:,} earlier rows: {verdict}", rows=1200, verdict=inner)
    assert text.text("zh") == "和之前的 1,200 行相比：一致"
    assert render("give all of: {columns}", {"columns": ["a", "b"]}, "zh") == "请给全：a、b"


def test_an_error_reads_as_two_sentences():
    error = errors.NotFound("there is no file {file}", do="check the name", file="x.csv")
    assert error.text("zh") == "没有文件 x.csv。请检查文件名"
    assert error.text() == "there is no file x.csv: check the name"
