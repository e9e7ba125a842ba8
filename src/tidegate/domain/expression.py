"""Rules over several columns, as text: read into a small tree, and never run.

``start <= end``, ``total == a + b``, ``if status == 'closed' then closed_at is not null``: Python's
own parser reads the text, and whatever is not on the list below is refused with its place.
"""

import ast
import re
from typing import Any, NamedTuple

#: Longer rules are several rules; and the parser's work grows with the text.
MAX_CHARACTERS = 1000
#: Parentheses and operators within each other. Python itself gives up at about a hundred.
MAX_DEPTH = 30

COMPARISONS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}
#: What may be called, each with one argument.
FUNCTIONS = ("abs", "len", "lower")
_WORDS = {"null": None, "true": True, "false": False}
_LANGUAGE = (
    "use columns, numbers, 'texts', + - * / %, == != < <= > >=, and, or, not, in (...), "
    "is null, abs(), len(), lower() and if ... then ..."
)


class RuleError(ValueError):
    """A text that is no rule: what is wrong with it, at which character, and what may stand."""


class Node(NamedTuple):
    """One step of a rule.

    ``kind``: column, constant, list, not, minus, and, or, if, a comparison, an operator of
    arithmetic or a function; ``value`` holds a column's name, a constant, or a list of constants.
    """

    kind: str
    parts: tuple["Node", ...] = ()
    value: Any = None
    place: int = 1  # the character of the text it begins at, from 1

    def columns(self) -> list[str]:
        """The columns it speaks of, in the order of the text, each once."""
        own = [self.value] if self.kind == "column" else []
        found = own + [name for part in self.parts for name in part.columns()]
        return list(dict.fromkeys(found))


def parse_rule(text: str) -> Node:
    """The rule that ``text`` holds; raises RuleError naming the place.

    Columns stand by their names, in backticks where a name is no plain word or means something
    here (`` `pm2.5` > 0 ``); ``if A then B`` holds wherever A does not.

    >>> parse_rule("start <= `the end`").columns()
    ['start', 'the end']
    """
    if len(text) > MAX_CHARACTERS:
        raise RuleError(f"the rule has {len(text)} characters, and {MAX_CHARACTERS} is the most")
    masked, names = _masked(text)
    parts = _parts(masked)
    read = [_Reader(text, masked, names).read(*part) for part in parts]
    rule = read[0] if len(read) == 1 else Node("if", tuple(read))
    if not rule.columns():
        raise RuleError("the rule speaks of no column")
    return rule


#: A text in quotes, or a name in backticks: whichever opens first.
_QUOTED = re.compile(r"'[^'\n\\]*'|\"[^\"\n\\]*\"|`[^`\n]+`|['\"`]")
_WORD = re.compile(r"\w+")


def _masked(text: str) -> tuple[str, dict[int, str]]:
    """The text in ASCII, of the same length, and the names that stood at its placeholders.

    Python would read some letters of other alphabets as one and the same; a name means itself.
    """
    names: dict[int, str] = {}
    parts: list[str] = []
    at = 0
    for match in _QUOTED.finditer(text):
        parts.append(_plain(text[at : match.start()], at, names))
        quoted, at = match.group(), match.end()
        if len(quoted) == 1:
            raise _wrong(match.start(), f"a {quoted} opens here and is never closed")
        if quoted[0] == "`":
            names[match.start()] = quoted[1:-1]
        parts.append(("_" if quoted[0] == "`" else "'") + "_" * (len(quoted) - 2))
        parts.append("_" if quoted[0] == "`" else "'")
    parts.append(_plain(text[at:], at, names))
    return "".join(parts), names


def _plain(text: str, at: int, names: dict[int, str]) -> str:
    """Words of other alphabets as placeholders; anything else there is no part of a rule."""

    def placeholder(match: re.Match[str]) -> str:
        word = match.group()
        if word.isascii():
            return word
        names[at + match.start()] = word
        return "_" * len(word)

    masked = _WORD.sub(placeholder, text)
    for place, letter in enumerate(masked):
        if not letter.isascii() or letter in "\\\0\n\r#;":
            raise _wrong(at + place, f"{letter!r} is not part of the language; {_LANGUAGE}")
    return masked


def _parts(masked: str) -> list[tuple[int, int]]:
    """Where the rule's one or two conditions lie: between ``if`` and ``then``, and after."""
    words = list(_WORD.finditer(re.sub(r"'_*'", lambda m: " " * len(m.group()), masked)))
    thens = [word for word in words if word.group() == "then"]
    if not words or words[0].group() != "if" or masked[: words[0].start()].strip():
        if thens:
            raise _wrong(thens[0].start(), "'then' stands without an 'if' before it")
        return [(0, len(masked))]
    if len(thens) != 1:
        raise _wrong(words[0].start(), "'if' needs one 'then' after it: if A then B")
    return [(words[0].end(), thens[0].start()), (thens[0].end(), len(masked))]


def _wrong(at: int, what: str) -> RuleError:
    return RuleError(f"at character {at + 1}: {what}")


class _Reader:
    """Reads one condition of a rule; the nodes know their place in the whole text."""

    def __init__(self, text: str, masked: str, names: dict[int, str]) -> None:
        self.text, self.masked, self.names, self.start = text, masked, names, 0

    def read(self, start: int, end: int) -> Node:
        source = self.masked[start:end]
        if not source.strip():
            raise _wrong(start, "a condition is missing here")
        self.start = start + len(source) - len(source.lstrip())
        try:
            tree = ast.parse(source.strip(), mode="eval")
        except SyntaxError as error:
            at = min(self.start + (error.offset or 1) - 1, end - 1)
            raise _wrong(at, f"this cannot be read ({error.msg})") from None
        except (RecursionError, MemoryError, ValueError):
            raise _wrong(start, "this is nested too deeply") from None
        return _condition(self.node(tree.body, 0))

    def node(self, given: ast.expr, depth: int) -> Node:
        at = self.start + given.col_offset
        if depth > MAX_DEPTH:
            raise _wrong(at, f"this is nested more than {MAX_DEPTH} deep; write several rules")

        def inner(*parts: ast.expr) -> tuple[Node, ...]:
            return tuple(self.node(part, depth + 1) for part in parts)

        place = at + 1
        match given:
            case ast.Name(id=word):
                return self._name(word, at)
            case ast.Constant(value=value):
                return Node("constant", value=self._constant(given, value, at), place=place)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return Node("list", value=self._list(inner(*elements), at), place=place)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                return self._unary(given.op, given.operand, place, depth)
            case ast.BoolOp(op=op, values=values):
                parts = tuple(_condition(part) for part in inner(*values))
                return Node("and" if isinstance(op, ast.And) else "or", parts, place=place)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                return Node(ARITHMETIC[type(op)], _values(inner(left, right)), place=place)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if (
                name in FUNCTIONS
            ):
                return Node(name, _values(inner(argument)), place=place)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                first, *read = inner(left, *rights)
                sides = [self._side(*side) for side in zip(ops, rights, read, strict=True)]
                return _chain(given, (first, *sides), place)
        raise _wrong(at, f"{_shown(self.text, given, self.start)} is not part of it; {_LANGUAGE}")

    def _side(self, op: ast.cmpop, given: ast.expr, node: Node) -> Node:
        """What stands right of ``op``: to Python ('x') is 'x', after ``in`` it is a list of one."""
        at = self.start + given.col_offset
        opened = self.masked[:at].rstrip().endswith("(")
        if opened and isinstance(op, (ast.In, ast.NotIn)) and node.kind == "constant":
            return Node("list", value=self._list((node,), at), place=node.place)
        return node

    def _unary(self, op: ast.unaryop, operand: ast.expr, place: int, depth: int) -> Node:
        part = self.node(operand, depth + 1)
        if isinstance(op, ast.Not):
            return Node("not", (_condition(part),), place=place)
        if part.kind == "constant" and _is(part.value):
            return Node("constant", value=-part.value, place=place)
        return Node("minus", _values((part,)), place=place)

    def _name(self, word: str, at: int) -> Node:
        if at in self.names:
            return Node("column", value=self.names[at], place=at + 1)
        if word in _WORDS:
            return Node("constant", value=_WORDS[word], place=at + 1)
        return Node("column", value=word, place=at + 1)

    def _constant(self, given: ast.Constant, value: Any, at: int) -> Any:
        last = self.start + (given.end_col_offset or 0)
        if isinstance(value, str) and self.masked[at + 1 : last - 1].strip("_") == "":
            return self.text[at + 1 : last - 1]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            raise _wrong(at, "a text stands in one pair of quotes, with nothing before them")
        if _is(value):
            if abs(value) < 2**63:
                return value
            raise _wrong(at, "numbers go up to 2 to the power of 63")
        raise _wrong(at, f"{type(value).__name__} is no constant here; {_LANGUAGE}")

    def _list(self, elements: tuple[Node, ...], at: int) -> list[Any]:
        for element in elements:
            if element.kind != "constant" or element.value is None:
                raise _wrong(element.place - 1, "a list holds texts or numbers")
        if len({isinstance(element.value, str) for element in elements}) != 1:
            raise _wrong(at, "a list holds texts, or numbers, and one at least")
        return [element.value for element in elements]


def _chain(given: ast.Compare, sides: tuple[Node, ...], place: int) -> Node:
    """``a < b <= c`` is ``a < b and b <= c``."""
    links = []
    for op, left, right in zip(given.ops, sides, sides[1:], strict=False):
        kind = COMPARISONS[type(op)]
        if kind.startswith("is") and not _null(right):
            raise _wrong(right.place - 1, "after 'is' stands null or 'not null'")
        if kind.endswith("in") != (right.kind == "list"):
            raise _wrong(right.place - 1, "a list stands after 'in', and nowhere else")
        if _null(left) or (_null(right) and not kind.startswith("is")):
            raise _wrong(place - 1, "write: column is null")
        right = right if right.kind == "list" else _values((right,))[0]
        links.append(Node(kind, (*_values((left,)), right), place=place))
    return links[0] if len(links) == 1 else Node("and", tuple(links), place=place)


_CONDITIONS = {*COMPARISONS.values(), "not", "and", "or", "column"}


def _condition(node: Node) -> Node:
    if node.kind in _CONDITIONS or isinstance(node.value, bool):
        return node
    raise _wrong(node.place - 1, "a condition is expected here, such as a < b")


def _values(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    for node in nodes:
        if node.kind in _CONDITIONS - {"column"}:
            raise _wrong(node.place - 1, "a number or a text is expected here, not a condition")
        if node.kind == "list":
            raise _wrong(node.place - 1, "a list stands after 'in', and nowhere else")
    return nodes


def _null(node: Node) -> bool:
    return node.kind == "constant" and node.value is None


def _is(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(text: str, given: ast.expr, start: int) -> str:
    at, last = start + given.col_offset, start + (given.end_col_offset or 0)
    piece = text[max(at, 0) : last]
    return repr(piece if len(piece) <= 40 else piece[:37] + "...")
