"""Parse a condition: a small subset of Python, accepted node by node; whatever is not listed here is refused.

    r.obj.author_id == r.sub.id or r.obj.in_care_team and r.obj.status in ['final', 'amended']

The text is valid for Casbin's own eval() as well, which rewrites `&&`, `!` and `r.` even inside quotes:
hence the narrow alphabet and the refusal of `r.` and `p.` in a literal.
"""

import ast
import re
from typing import Final, NoReturn

from core.errors import Invalid
from policies.facts import SCHEMA, Kind
from policies.formula import (
    AllOf,
    Always,
    Among,
    AnyOf,
    Attr,
    Flag,
    Formula,
    Holds,
    Known,
    Literal,
    Same,
    Within,
    negate,
)
from policies.vocabulary import ResourceType

MOST_CHARACTERS: Final = 4_000
MOST_NODES: Final = 400

REFUSALS: Final = {
    "condition-too-long": f"a condition has at most {MOST_CHARACTERS} characters and {MOST_NODES} parts",
    "condition-character": "a condition is written in plain ASCII, without this character",
    "condition-syntax": "this is not an expression",
    "condition-construct": "a condition knows and, or, not, comparisons, literals and attributes only",
    "condition-not-boolean": "this is neither true nor false",
    "condition-attribute": "this resource has no such attribute",
    "condition-operator": "only ==, !=, in, not in, is None and is not None compare, and <= sets",
    "condition-types": "the two sides are of different kinds",
    "condition-constant": "this comparison always comes to the same",
    "condition-list": "the right side of `in` is a list of at least one literal, or a set",
    "condition-word": "this attribute never has that value",
    "condition-literal": "a literal is text of letters, digits, blanks and _.:/- without r. or p.",
}

_FOREIGN: Final = re.compile(r"""[^A-Za-z0-9_.:/ \-'"\[\](),=!<>]""")
_LITERAL: Final = re.compile(r"(?!.*\b[rp]\d*\.)[A-Za-z0-9_.:/ -]*")


class BadCondition(Invalid):
    """A condition was refused: `code` says why, `position` (from 0) where. The text is not repeated."""

    def __init__(self, code: str, position: int) -> None:
        super().__init__(REFUSALS[code], code=code, position=position)
        self.position = position


def parse(text: str, resource_type: ResourceType) -> Formula:
    """Return the condition as a formula, every name and type checked for `resource_type`, or raise BadCondition."""
    return _Reader(resource_type).formula(_tree(text))


def _tree(text: str) -> ast.expr:
    if len(text) > MOST_CHARACTERS:
        raise BadCondition("condition-too-long", MOST_CHARACTERS)
    if foreign := _FOREIGN.search(text):
        raise BadCondition("condition-character", foreign.start())
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        offset = error.offset or len(text) + 1  # it stops short: Python counts from 1, or says 0
        raise BadCondition("condition-syntax", offset - 1) from None
    except (ValueError, RecursionError, MemoryError):
        raise BadCondition("condition-syntax", 0) from None
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise BadCondition("condition-too-long", 0)
    return tree


def _refuse(code: str, node: ast.expr) -> NoReturn:
    raise BadCondition(code, node.col_offset)


class _Reader:
    """The grammar, one method a kind of node, for rules about one resource type."""

    def __init__(self, resource_type: ResourceType) -> None:
        self._type = resource_type

    def formula(self, node: ast.expr) -> Formula:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return AllOf(tuple(self.formula(value) for value in values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return AnyOf(tuple(self.formula(value) for value in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return negate(self.formula(operand))
            case ast.Constant(value=bool(value)):
                return Always(value)
            case ast.Attribute():
                return self._flag(node)
            case ast.Compare():
                return self._chain(node)
            case ast.Constant() | ast.List():
                _refuse("condition-not-boolean", node)
            case _:
                _refuse("condition-construct", node)

    def _flag(self, node: ast.Attribute) -> Formula:
        attr = self._attribute(node)
        if attr.kind is not Kind.FLAG:
            _refuse("condition-not-boolean", node)
        return Flag(attr)

    def _chain(self, node: ast.Compare) -> Formula:
        sides = [node.left, *node.comparators]
        links = zip(sides, node.ops, sides[1:], strict=False)
        parts = tuple(self._comparison(*link) for link in links)
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Formula:
        match op:
            case ast.Eq() | ast.NotEq():
                return self._same(left, right, expected=isinstance(op, ast.Eq))
            case ast.In() | ast.NotIn() if isinstance(right, ast.Attribute):
                return self._holds(left, right, expected=isinstance(op, ast.In))
            case ast.LtE():
                return self._within(left, right)
            case ast.In() | ast.NotIn():
                return self._among(left, right, expected=isinstance(op, ast.In))
            case ast.Is() | ast.IsNot() if isinstance(right, ast.Constant) and right.value is None:
                return self._known(left, expected=isinstance(op, ast.IsNot))
            case _:
                _refuse("condition-operator", right)

    def _same(self, left: ast.expr, right: ast.expr, *, expected: bool) -> Formula:
        one, other = self._operand(left), self._operand(right)
        match one, other:
            case Attr(), Attr() if one.kind is not other.kind or one.kind is Kind.SET:
                _refuse("condition-types", right)
            case (Attr(), Attr()) if one == other:
                _refuse("condition-constant", right)
            case (Attr() as attr, Literal(value)) | (Literal(value), Attr() as attr):
                self._fits(attr, value, right)
            case Literal(), Literal():
                _refuse("condition-constant", right)
        return Same(one, other, expected)

    def _among(self, left: ast.expr, right: ast.expr, *, expected: bool) -> Formula:
        attr = self._attribute(left)
        if not isinstance(right, ast.List) or not right.elts:
            _refuse("condition-list", right)
        words = tuple(_word(element) for element in right.elts)
        for word, element in zip(words, right.elts, strict=True):
            self._fits(attr, word, element)
        return Among(attr, words, expected)

    def _holds(self, left: ast.expr, right: ast.expr, *, expected: bool) -> Formula:
        holder, member = self._set(right, "condition-list"), self._operand(left)
        words = SCHEMA[holder.root, holder.name].words
        if isinstance(member, Attr) and member.kind is not Kind.TEXT:
            _refuse("condition-types", left)
        if isinstance(member, Literal) and words is not None and member.value not in words:
            _refuse("condition-word", left)
        return Holds(holder, member, expected)

    def _within(self, left: ast.expr, right: ast.expr) -> Formula:
        part = self._set(left, "condition-operator")
        whole = self._set(right, "condition-operator")
        if part == whole:
            _refuse("condition-constant", right)
        return Within(part, whole)

    def _set(self, node: ast.expr, otherwise: str) -> Attr:
        attr = self._attribute(node) if isinstance(node, ast.Attribute) else None
        if attr is None or attr.kind is not Kind.SET:
            _refuse(otherwise, node)
        return attr

    def _known(self, node: ast.expr, *, expected: bool) -> Formula:
        attr = self._attribute(node)
        if not SCHEMA[attr.root, attr.name].nullable:
            _refuse("condition-constant", node)
        return Known(attr, expected)

    def _operand(self, node: ast.expr) -> Attr | Literal:
        return Literal(_word(node)) if isinstance(node, ast.Constant) else self._attribute(node)

    def _fits(self, attr: Attr, word: str, node: ast.expr) -> None:
        words = SCHEMA[attr.root, attr.name].words
        if attr.kind is not Kind.TEXT:
            _refuse("condition-types", node)
        if words is not None and word not in words:
            _refuse("condition-word", node)

    def _attribute(self, node: ast.expr) -> Attr:
        match node:
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="r"), attr=root), attr=name):
                found = SCHEMA.get((root, name))
            case ast.Attribute():
                _refuse("condition-attribute", node)
            case _:
                _refuse("condition-construct", node)
        if found is None or self._type not in found.types:
            _refuse("condition-attribute", node)
        return Attr(root, name, found.kind)


def _word(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)) if _LITERAL.fullmatch(text):
            return text
        case _:
            _refuse("condition-literal", node)
