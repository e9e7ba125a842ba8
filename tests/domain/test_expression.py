import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.expression import MAX_CHARACTERS, RuleError, parse_rule


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("start <= end", ["start", "end"]),
        ("total == a + b - a", ["total", "a", "b"]),
        ("if status == 'closed' then closed_at is not null", ["status", "closed_at"]),
        ("`pm2.5` > -3 and 城市 in ('北京', 'then')", ["pm2.5", "城市"]),
        ("`if` == 'then' or `` == 1".replace("``", "`x y`"), ["if", "x y"]),
        ("ﬁ < fi", ["ﬁ", "fi"]),  # Python takes the ligature for two letters
        ("1 < a <= 3", ["a"]),
        ("not (a is null) and abs(-a) % 2 == len(lower(b))", ["a", "b"]),
    ],
)
def test_the_columns_of_a_rule(text, columns):
    assert parse_rule(text).columns() == columns


def test_constants_are_what_is_written():
    rule = parse_rule('  a in ("it\'s", \'"x"\', "北京") ')
    assert rule.kind == "in"
    assert rule.parts[1].value == ["it's", '"x"', "北京"]
    assert [part.place for part in rule.parts] == [3, 8]
    assert parse_rule("-1.5 < a").parts[0].value == -1.5
    assert parse_rule("ok == True").parts[1].value is True


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("a in ('x')", ["x"]),
        ("a not in ( (-1) )", [-1]),
        ("if b then (a in ('(x)'))", ["(x)"]),
    ],
)
def test_a_list_of_one(text, listed):
    rule = parse_rule(text)
    membership = rule.parts[1] if rule.kind == "if" else rule
    assert membership.parts[1].kind == "list"
    assert membership.parts[1].value == listed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("__import__('os').system('x') == 0", "is not part of it"),
        ("__import__('os') == 0", "at character 1"),
        ("a.__class__ == b", "'a.__class__' is not part of it"),
        ("a[0] == b", "is not part of it"),
        ("a ** b == 1", "'a ** b' is not part of it"),
        ("9 ** 9 ** 9 ** 9 > a", "is not part of it"),
        ("a << 99999999 > 0", "is not part of it"),
        ("9" * 900 + " > a", "2 to the power of 63"),
        ("1e999 > a", "2 to the power of 63"),
        ("(lambda: a)() == 1", "is not part of it"),
        ("[x for x in a] == b", "is not part of it"),
        ("(a := 1) == 1", "is not part of it"),
        ("f'{a}' == b", "is not part of it"),
        ("b'x' == a", "bytes"),
        ("r'x' == a", "one pair of quotes"),
        ("'x' 'y' == a", "one pair of quotes"),
        ("1j == a", "complex"),
        ("... == a", "ellipsis"),
        ("eval('a') == 1", "is not part of it"),
        ("abs(a, b) == 1", "is not part of it"),
        ("abs(*a) == 1", "is not part of it"),
        ("a; b", "at character 2"),
        ("a and\nb", "at character 6"),
        ("a == 1 # ok", "at character 8"),
        ("a\0 == 1", "at character 2"),
        ("a \\ == 1", "at character 3"),
        ("a == '\\x41'", "is never closed"),
        ("a == 1) or (b == 2", "unmatched"),
        ("'open == a", "a ' opens here"),
        ("`open == a", "a ` opens here"),
        ("a == null", "write: column is null"),
        ("null is null", "write: column is null"),
        ("a is b", "null or 'not null'"),
        ("a in b", "a list stands after 'in'"),
        ("a in (b)", "a list stands after 'in'"),
        ("a in 'x'", "a list stands after 'in'"),
        ("(a in 'x')", "a list stands after 'in'"),
        ("a in (null)", "a list holds texts or numbers"),
        ("a == (1, 2)", "a list stands after 'in'"),
        ("(1, 2) == a", "a list stands after 'in'"),
        ("a in (1, 2) in (3, 4)", "at character 6: a list stands after 'in'"),
        ("(1, 2) + a > 1", "a list stands after 'in'"),
        ("abs((1, 2)) > a", "a list stands after 'in'"),
        ("a in ()", "texts, or numbers, and one at least"),
        ("a in (1, 'x')", "texts, or numbers, and one at least"),
        ("a in (b, c)", "a list holds texts or numbers"),
        ("a + b", "a condition is expected"),
        ("a and 'x'", "a condition is expected"),
        ("(a < b) + 1 == 2", "not a condition"),
        ("x if y else z", "is not part of it"),
        ("a then b", "'then' stands without an 'if'"),
        ("if a", "needs one 'then'"),
        ("if a then b then c", "needs one 'then'"),
        ("if a then", "a condition is missing"),
        ("if a then if b then c", "needs one 'then'"),
        ("true", "speaks of no column"),
        ("1 < 2", "speaks of no column"),
        ("", "a condition is missing"),
        ("a <", "cannot be read"),
        ("-" * 400 + "a > 1", "more than 30 deep"),
        ("not " * 200 + "a", "more than 30 deep"),
        ("(" * 400 + "a" + ")" * 400 + " > 1", "cannot be read"),
        ("a+" * 400 + "a > 1", "more than 30 deep"),
        ("a" * (MAX_CHARACTERS + 1), "1000 is the most"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(text, says):
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert says in str(caught.value)


_PIECES = st.sampled_from(
    ["a", "b", "`c d`", "城", "'t'", '"', "'", "`", "(", ")", "[", "if", "then", "not", "and", "is",
     "null", "in", "**", "<=", "==", "-", ".", ",", "1", "0x", "1e9", "lambda", ":", "@", "\n",
     "\0", " ", "*", "abs", "None", "#", "\\", "é", "🙂"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map(" ".join) | st.text(max_size=60))
@settings(max_examples=300)
def test_any_text_is_a_rule_or_is_refused(text):
    try:
        parse_rule(text).columns()
    except RuleError as error:
        assert str(error)
