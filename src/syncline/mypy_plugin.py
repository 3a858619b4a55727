"""A plugin for mypy, which then knows that ``Dog.age`` is an expression where ``dog.age`` is an ``int | None``.

In pyproject.toml::

    [tool.mypy]
    plugins = ["syncline.mypy_plugin"]

Calling a model class then also takes plain lists, sets and dictionaries, and nothing for what may be None. Without the
plugin, and with other type checkers, write ``field(Dog.age) > 3`` where an expression is refused (spec/sdk.md §12.1).
Nothing but mypy imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy.nodes import ArgKind, AssignmentStmt, CallExpr, CastExpr, IntExpr, MemberExpr, NameExpr, TypeInfo, Var
from mypy.plugin import AttributeContext, ClassDefContext, FunctionSigContext, Plugin
from mypy.types import (
    AnyType,
    CallableType,
    FunctionLike,
    Instance,
    NoneType,
    Overloaded,
    Type,
    TypeOfAny,
    TypeType,
    UnboundType,
    UnionType,
    get_proper_type,
)

__all__ = ["SynclinePlugin", "plugin"]

MODEL: Final = "syncline.realm.models.Model"
EXPRESSION: Final = "syncline.query.expression.Expr"
#: What a new object takes for a collection.
PLAIN: Final = {
    "syncline.realm.lists.List": "typing.Iterable",
    "syncline.realm.sets.Set": "typing.Iterable",
    "syncline.realm.dictionaries.Dictionary": "typing.Mapping",
}


class SynclinePlugin(Plugin):
    """Properties of model classes are expressions; a Counter may have a plain number as its default."""

    def get_class_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        """Called for every attribute of a class; the name says nothing of its bases, so the callback looks."""
        name = fullname.rpartition(".")[2]
        found = self.lookup_fully_qualified(EXPRESSION)
        if name.startswith("_") or found is None or not isinstance(found.node, TypeInfo):
            return None
        expression = Instance(found.node, [])
        return lambda context: expression if _is_property(name, context) else context.default_attr_type

    def get_function_signature_hook(self, fullname: str) -> Callable[[FunctionSigContext], FunctionLike] | None:
        """Called for every call of a function or class."""
        found = self.lookup_fully_qualified(fullname)
        if found is None or not isinstance(found.node, TypeInfo) or not found.node.has_base(MODEL):
            return None
        return lambda context: _constructor(context.default_signature, self._plain)

    def _plain(self, type: Type) -> Type:
        """What may be given for a property of that type: for a collection, any of its kind."""
        proper = get_proper_type(type)
        if not isinstance(proper, Instance) or proper.type.fullname not in PLAIN:
            return type
        found = self.lookup_fully_qualified(PLAIN[proper.type.fullname])
        if found is None or not isinstance(found.node, TypeInfo):
            return type
        keys: list[Type] = []
        text = self.lookup_fully_qualified("builtins.str")
        if len(found.node.type_vars) == 2 and text is not None and isinstance(text.node, TypeInfo):
            keys.append(Instance(text.node, []))
        return Instance(found.node, [*keys, *proper.args])

    def get_base_class_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        """Called for every class with this base."""
        found = self.lookup_fully_qualified(fullname)
        is_model = found is not None and isinstance(found.node, TypeInfo) and found.node.has_base(MODEL)
        return _read_defaults if is_model else None


def _is_property(name: str, context: AttributeContext) -> bool:
    """Whether the attribute is a property of a model."""
    info = _class_of(context.type)
    symbol = info.get(name) if info is not None and info.has_base(MODEL) else None
    return symbol is not None and isinstance(symbol.node, Var) and not symbol.node.is_classvar


def _constructor(signature: CallableType, plain: Callable[[Type], Type]) -> FunctionLike:
    """The signature of a model class: what may be None or empty need not be given, collections may be plain."""
    kinds = [
        ArgKind.ARG_NAMED_OPT if kind == ArgKind.ARG_NAMED and _may_be_left_out(type) else kind
        for kind, type in zip(signature.arg_kinds, signature.arg_types, strict=True)
    ]
    return signature.copy_modified(arg_kinds=kinds, arg_types=[plain(type) for type in signature.arg_types])


def _may_be_left_out(type: Type) -> bool:
    proper = get_proper_type(type)
    if isinstance(proper, UnionType):
        return any(isinstance(get_proper_type(item), NoneType) for item in proper.items)
    return isinstance(proper, AnyType) or (isinstance(proper, Instance) and proper.type.fullname in PLAIN)


def _class_of(type: Type) -> TypeInfo | None:
    """The class that a value is, if it is one."""
    proper = get_proper_type(type)
    if isinstance(proper, Overloaded):
        proper = get_proper_type(proper.items[0])
    if isinstance(proper, CallableType):
        proper = get_proper_type(proper.ret_type)
    elif isinstance(proper, TypeType):
        proper = proper.item
    return proper.type if isinstance(proper, Instance) else None


def _read_defaults(context: ClassDefContext) -> None:
    """``visits: Counter = 0`` is right, and the first argument of ``Field`` is the default."""
    for statement in context.cls.defs.body:
        if not isinstance(statement, AssignmentStmt):
            continue
        value = statement.rvalue
        if isinstance(value, IntExpr) and _is_counter(statement.unanalyzed_type):
            cast = CastExpr(value, AnyType(TypeOfAny.special_form))
            cast.set_line(value)
            statement.rvalue = cast
        elif isinstance(value, CallExpr) and _is_field(value) and value.arg_kinds[:1] == [ArgKind.ARG_POS]:
            value.arg_kinds[0], value.arg_names[0] = ArgKind.ARG_NAMED, "default"


def _is_counter(declared: Type | None) -> bool:
    return isinstance(declared, UnboundType) and declared.name.rpartition(".")[2] == "Counter"


def _is_field(call: CallExpr) -> bool:
    return isinstance(call.callee, NameExpr | MemberExpr) and call.callee.name == "Field"


def plugin(version: str) -> type[SynclinePlugin]:
    """What mypy asks for."""
    return SynclinePlugin
