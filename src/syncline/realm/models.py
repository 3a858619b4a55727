"""Model classes: a class body with annotations becomes a class of objects in a Realm (spec/sdk.md §12.1).

::

    class Dog(Model):
        name: str = Field(primary_key=True)
        age: int | None = None

    rex = Dog(name="Rex")        # unmanaged: lives in memory only
    realm.add(rex)               # now it is a row
"""

from __future__ import annotations

import sys
import weakref
from collections import ChainMap
from collections.abc import Callable, Container, Iterable, Mapping
from difflib import get_close_matches
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self, TypeVar, cast, dataclass_transform, get_origin

from syncline.errors import InvalidatedObjectError, InvalidPropertyError, RealmError, SchemaError, TypeMismatchError
from syncline.query.ast import LinkLiteral, ObjectLiteral, Path
from syncline.query.expression import ClassRef, Expr, PropertyRef, backlinks
from syncline.realm.attributes import Attribute, BacklinksAttribute, make_attribute
from syncline.realm.copies import ModelCopies
from syncline.realm.declarations import AnnotationReader, Declared, Field, FieldInfo, Misdeclared, Origin, Unresolved
from syncline.realm.freezing import ModelFreezing
from syncline.realm.live_object import LiveObject
from syncline.realm.schema import MISSING, ObjectSchema, Property, PropertyType, schema_error
from syncline.realm.validation import class_problems
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.changes import ObjectChange
    from syncline.realm.realm import Realm
    from syncline.realm.results import Results
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = [
    "AsymmetricModel",
    "EmbeddedModel",
    "Model",
    "ModelInfo",
    "collection_annotations",
    "default_problems",
]

M = TypeVar("M")

#: Annotations that declare collections: Python's own, and ours, which their modules add.
collection_annotations: Final[dict[Any, int]] = {
    list: kinds.LIST_COLLECTION,
    set: kinds.SET_COLLECTION,
    dict: kinds.DICTIONARY_COLLECTION,
}

#: Model classes by name, for annotations that name a class before it exists. The latest class of a name counts.
_registry: weakref.WeakValueDictionary[str, ModelMeta] = weakref.WeakValueDictionary()


class ModelInfo:
    """What a model class declares. Complete once every class it links to exists: see :meth:`finish`.

    It is a :class:`~syncline.query.expression.ClassRef`.
    """

    def __init__(
        self,
        model: ModelMeta,
        declared: Mapping[str, tuple[Any, FieldInfo]],
        names: ChainMap[str, Any],
        kind: int,
        stored_name: str,
        abstract: bool = False,
    ) -> None:
        self.model = model
        self.abstract = abstract
        self.declared = dict(declared)
        self.names = names
        self.kind = kind
        self.public_name = model.__name__
        self.stored_name = stored_name
        self.attributes: dict[str, Attribute] = {}
        self.computed: dict[str, BacklinksAttribute] = {}
        self._schema: ObjectSchema | None = None

    @property
    def schema(self) -> ObjectSchema:
        """The class as data. Raises SchemaError while it names classes that do not exist."""
        return self._schema if self._schema is not None else self.finish(strict=True)

    def property_ref(self, name: str) -> PropertyRef:
        """The property of that name, for expressions. Raises InvalidPropertyError."""
        self.finish(strict=True)
        attribute = self.attributes.get(name) or self.computed.get(name) or getattr_static(self.model, name, None)
        reference = getattr(attribute, "reference", None)
        if not isinstance(reference, PropertyRef):
            raise unknown_property(self.public_name, name, self.attributes)
        return reference

    def finish(self, strict: bool) -> ObjectSchema:
        """Read the annotations and give the class its attributes.

        With ``strict`` False a class that is not defined yet leaves the work for later; otherwise it is an error.
        Raises SchemaError with all problems of the class.
        """
        if self._schema is not None:
            return self._schema
        # a class of that name elsewhere is only meant if none here comes to be before this one is used
        names: Mapping[str, Any] = ChainMap(self.names, _registry) if strict else self.names
        reader = AnnotationReader(names, collection_annotations, lambda value: isinstance(value, ModelMeta))
        problems: list[str] = []
        properties: list[Property] = []
        targets: dict[str, Any] = {}
        for name, (annotation, field) in self.declared.items():
            try:
                declared = reader.read(annotation)
            except Misdeclared as error:
                problems.append(f"{self.public_name}.{name}: {error}")
                if field.primary_key:  # which the class has, whatever it is
                    properties.append(Property(name, "int", primary_key=True))
                continue
            if isinstance(declared, Unresolved):
                if not strict:
                    return ObjectSchema(self.public_name, ())
                problems.append(f"{self.public_name}.{name}: {declared.name!r} is not defined; define or import it")
            elif declared is not None and declared.backlinks != isinstance(field.default, Origin):
                problems.append(
                    f'{self.public_name}.{name}: backlinks are declared as Backlinks["Person"] = Backlinks.of("dogs")'
                )
            elif declared is not None:
                properties.append(_property(name, declared, field))
                targets[name] = declared.target
        schema = ObjectSchema(self.public_name, properties, kind=self.kind, stored_name=self.stored_name)
        problems += class_problems(schema)
        problems += default_problems(schema, problems)
        if problems:
            raise schema_error(problems)
        self.install(schema, {name: _target(model) for name, model in targets.items() if model is not None})
        return schema

    def install(
        self, schema: ObjectSchema, targets: Mapping[str, Callable[[], ClassRef]], hidden: Container[Property] = ()
    ) -> None:
        """Give the class its attributes; ``targets`` finds the classes that links lead to.

        ``hidden`` properties are no Python attributes: their names may be those of methods.
        """
        slot = 1  # a row begins with the object key
        for place, prop in enumerate(schema.properties):
            attribute = make_attribute(self.public_name, prop, place, slot, targets.get(prop.name))
            attribute.expression._owner = self
            slot += not prop.type.is_collection
            self.attributes[prop.name] = attribute
            if prop not in hidden:
                type.__setattr__(self.model, prop.name, attribute)
        for prop in schema.computed:
            computed = BacklinksAttribute(self.public_name, prop, targets[prop.name])
            computed.expression._owner = self
            self.computed[prop.name] = computed
            type.__setattr__(self.model, prop.name, computed)
        self._schema = schema


def _target(model: ModelMeta) -> Callable[[], ClassRef]:
    return lambda: model._info


def _property(name: str, declared: Declared, field: FieldInfo) -> Property:
    target = declared.target._info.stored_name if declared.target is not None else None
    if isinstance(field.default, Origin):
        return Property.backlinks(name, target or "", field.default.name)
    return Property(
        name,
        PropertyType(declared.kind, declared.nullable, declared.collection, target),
        primary_key=field.primary_key,
        index=field.index,
        default=field.default,
        default_factory=field.default_factory,
        stored_name=field.stored_name,
        counter=declared.counter,
        exact=declared.exact,
        custom=declared.custom,
    )


def default_problems(schema: ObjectSchema, known: Iterable[str] = ()) -> list[str]:
    """Defaults that their property could not hold; of those with ``known`` problems nothing more is said."""
    problems = []
    blamed = {problem.partition(":")[0] for problem in known}
    for prop in schema.properties:
        if f"{schema.name}.{prop.name}" in blamed:
            continue
        attribute = make_attribute(schema.name, prop, 0, 0, None)
        if prop.default is not MISSING and prop.default_factory is not None:
            problems.append(f"{attribute.converter.where}: give a default or a default_factory, not both")
        elif prop.default is not MISSING:
            try:
                attribute.set_unmanaged(cast(Model, _Anything()), prop.default)
            except (RealmError, TypeError, ValueError) as error:
                problems.append(f"the default of {error}")
    return problems


def unknown_property(owner: str, name: object, known: Mapping[str, Any]) -> InvalidPropertyError:
    """The error for a name that is no property, with a guess at what was meant."""
    near = get_close_matches(name, known, n=1) if isinstance(name, str) else []
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'no properties'}"
    return InvalidPropertyError(f"{owner} has no property {name!r}: {hint}")


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class ModelMeta(type):
    """Reads the class body of a model; see :class:`Model`."""

    _info: ModelInfo

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> ModelMeta:
        meta = _read_meta(name, namespace.pop("Meta", None))
        declared = _inherited(bases)
        declared.update(_own_properties(namespace))
        _check_names(name, bases, declared, namespace)
        cls = super().__new__(mcs, name, bases, namespace, **kwargs)
        abstract = meta.get("abstract", False) or not any(isinstance(base, ModelMeta) for base in bases)
        names = _names_around(cls, sys._getframe(1))
        cls._info = ModelInfo(cls, declared, names, cls._kind, meta.get("name", name), abstract)
        if not abstract:
            _registry[name] = cls
            cls._info.finish(strict=False)
        return cls

    _kind: int = kinds.TOP_LEVEL

    def __getattr__(cls, name: str) -> Expr:
        """Properties of a class whose links were not defined when it was."""
        info = cls.__dict__.get("_info")
        if not name.startswith("_") and info is not None and info._schema is None and name in info.declared:
            info.finish(strict=True)
            attribute = info.attributes.get(name) or info.computed[name]
            expression: Expr = attribute.expression
            return expression
        known = info.attributes if info is not None else {}
        near = get_close_matches(name, known, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{cls.__name__} has no property {name!r}{hint}")

    def backlinks(cls, source: Expr | None = None) -> Expr:
        """In queries, the objects that link to one of this class: ``Dog.backlinks(Person.dogs).age > 30``.

        Without ``source`` the links of all classes, which can only be counted.
        """
        return backlinks(Path(()), source)


def _read_meta(owner: str, meta: type | None) -> dict[str, Any]:
    """What ``class Meta`` says: ``name`` and ``abstract``."""
    values = {name: value for name, value in vars(meta or object).items() if not name.startswith("__")}
    unknown = [name for name in values if name not in ("name", "abstract")]
    if unknown:
        raise schema_error(f"{owner}.Meta.{name}: Meta knows only 'name' and 'abstract'" for name in unknown)
    return values


def _own_properties(namespace: dict[str, Any]) -> dict[str, tuple[Any, FieldInfo]]:
    """Takes the annotated names out of a class body; ordinary attributes stay in it."""
    declared: dict[str, tuple[Any, FieldInfo]] = {}
    for name, annotation in _annotations(namespace).items():
        value = namespace.get(name, MISSING)
        field = value if isinstance(value, FieldInfo) else FieldInfo(default=value)
        if name.startswith("_") or _is_class_variable(annotation):
            continue
        namespace.pop(name, None)
        if not field.ignore:
            declared[name] = (annotation, field)
        else:
            namespace[name] = None if field.default is MISSING else field.default
    return declared


def _annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a class body; from Python 3.14 on they are computed when they are asked for."""
    if sys.version_info >= (3, 14):
        import annotationlib

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            return annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF)
    annotations: dict[str, Any] = namespace.get("__annotations__", {})
    return annotations


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.replace("typing.", "").startswith("ClassVar")
    return annotation is ClassVar or get_origin(annotation) is ClassVar


def _inherited(bases: tuple[type, ...]) -> dict[str, tuple[Any, FieldInfo]]:
    """Properties of abstract bases, which are copied; stored classes cannot be derived from (spec/sdk.md §12.1)."""
    declared: dict[str, tuple[Any, FieldInfo]] = {}
    for base in bases:
        if not isinstance(base, ModelMeta):
            continue
        info = base._info
        if not info.abstract:
            raise SchemaError(
                f"{base.__name__} is a class of stored objects and cannot be derived from: give the common properties "
                "to a base class with 'class Meta: abstract = True'"
            )
        declared.update(info.declared)
    return declared


def _names_around(cls: type, frame: Any) -> ChainMap[str, Any]:
    """What names mean in the class's annotations: locals of an enclosing function, globals."""
    scope = dict(frame.f_locals) if frame.f_locals is not frame.f_globals else {}
    return ChainMap({cls.__name__: cls}, scope, frame.f_globals)


_STATE: Final = frozenset({"_binding", "_columns", "_defaults", "_epoch", "_key", "_row", "_values"})  # of LiveObject
_RESERVED: Final = frozenset(
    {"realm", "is_valid", "is_managed", "is_frozen", "observe", "changes", "freeze", "same_object"}
    | {"linking_objects", "linking_objects_count", "to_dict", "detach", "thaw"}
)


def _check_names(owner: str, bases: tuple[type, ...], declared: Mapping[str, Any], namespace: Iterable[str]) -> None:
    embedded = any(getattr(base, "_kind", None) == kinds.EMBEDDED for base in bases)
    reserved = _RESERVED | {"parent"} if embedded else _RESERVED
    taken = [name for name in declared if name in reserved] + [name for name in namespace if name in _STATE]
    if taken:
        raise schema_error(
            f"{owner}.{name}: every model has an attribute of this name; use another"
            + (f" and Field(name={name!r})" if name in declared else "")
            for name in taken
        )


if TYPE_CHECKING:

    class _State(LiveObject):
        """:class:`LiveObject` as type checkers see it: annotations of Model itself would be properties to them."""

        _binding: Binding | None
        _defaults: dict[str, Any]
        _epoch: int
        _key: int
        _row: tuple[Any, ...]
        _values: Any

else:
    _State = LiveObject


class Model(ModelCopies, ModelFreezing, _State, metaclass=ModelMeta):
    """Base of the classes whose objects live in a Realm.

    Annotations declare the properties, :func:`Field` says more about them, ``class Meta`` may give the ``name`` under
    which the class is stored or make it ``abstract``. Objects made by calling the class are *unmanaged* until
    ``realm.add``; methods and Python properties are ordinary.

    Two live objects are equal if they are the same object of the same Realm file; ``hash`` goes with it.
    """

    __slots__ = ("__weakref__",)

    def __new__(cls, *args: Any, **values: Any) -> Self:
        if cls._info.abstract:
            raise TypeError(f"{cls.__name__} is an abstract base; make objects of a class derived from it")
        cls._info.finish(strict=True)
        self = super().__new__(cls)
        self._binding = None
        self._defaults = {}
        self._values = {}
        return self

    def __init__(self, **values: Any) -> None:
        info = type(self)._info
        for name, value in values.items():
            attribute = info.attributes.get(name)
            if attribute is None:
                if name in info.computed:
                    raise info.computed[name].read_only()
                raise unknown_property(info.public_name, name, info.attributes)
            attribute.set_unmanaged(self, value)

    # --- what the object is ---

    @property
    def realm(self) -> Realm | None:
        """The Realm the object lives in; None for an unmanaged object."""
        binding = self._binding
        return None if binding is None else binding.context.realm

    @property
    def is_managed(self) -> bool:
        """Whether the object lives, or lived, in a Realm."""
        return self._binding is not None

    @property
    def is_valid(self) -> bool:
        """Whether the object can be used: it is unmanaged, or its row still exists in an open Realm."""
        return self._binding is None or self._binding.is_valid(self)

    def __query_object__(self) -> ObjectLiteral | LinkLiteral:
        """What names the object in the text of a query (``query.arguments.QueryObject``)."""
        info, binding = type(self)._info, self._binding
        key = next((each for each in info.attributes.values() if each.property.primary_key), None)
        if binding is not None and (key is None or not self.is_valid):
            return LinkLiteral(binding.info.id, self._key)
        return ObjectLiteral(info.stored_name, None if key is None else getattr(self, key.name))

    def same_object(self, other: Model) -> bool:
        """Whether both stand for the same object of the same file, whatever their versions.

        Raises TypeMismatchError if the other is no object.
        """
        if not isinstance(other, Model):
            raise TypeMismatchError(f"same_object: expected an object, got {type(other).__name__}")
        mine, theirs = self._binding, other._binding
        if mine is None or theirs is None:
            return self is other
        return self._key == other._key and mine.identity == theirs.identity

    def linking_objects(self, source: type[M] | str, prop: str) -> Results[M]:
        """The objects of the class ``source`` that link here through their property ``prop``, live and in the order of
        creation; one that links twice occurs twice (spec/sdk.md §1.13). No declaration is needed.

        Raises NoSuchTableError, InvalidPropertyError; QueryError for a property that cannot link here;
        InvalidatedObjectError for an object that was deleted or is in no Realm.
        """
        found: Results[M] = self._managed("linking_objects").linking_objects(self, source, prop)
        return found

    def linking_objects_count(self) -> int:
        """How many links lead here, from all classes, those inside Mixed values included."""
        return self._managed("linking_objects_count").count_links(self)

    def _managed(self, what: str) -> Binding:
        if self._binding is None:
            raise InvalidatedObjectError(f"{what}: {self!r} is in no Realm; add it to one first")
        return self._binding

    def observe(
        self,
        callback: Callable[[Self, ObjectChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(obj, change)`` when own properties change or the object is deleted (spec/sdk.md §9.5).

        ``key_paths`` limits this to some properties, or extends it to others: ``["name", "best.age"]``. There is no
        first call. Keep the returned token, or have the Realm ``keep`` it. Raises
        WrongTransactionStateError inside a write transaction, InvalidatedObjectError for an object that is in no Realm
        or deleted.
        """
        binding = self._binding
        if binding is None:
            raise InvalidatedObjectError(f"{self!r} is in no Realm; add it to one before you observe it")
        return binding.observe_object(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[ObjectChange]:
        """What :meth:`observe` tells, as an asynchronous iterator: ``async for change in dog.changes(): …``.

        The first item has ``initial`` set; the last one says that the object was deleted. ``change.object`` is the
        object as it was then, for good, unless ``frozen`` is False. Raises what :meth:`observe` raises, and
        WrongThreadError for a Realm that does not belong to an event loop.
        """
        binding = self._binding
        if binding is None:
            raise InvalidatedObjectError(f"{self!r} is in no Realm; add it to one before you observe it")
        return binding.object_changes(self, key_paths, frozen)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        mine, theirs = self._binding, other._binding
        if mine is None or theirs is None:
            return self is other
        return self._key == other._key and mine.identity == theirs.identity and mine.version == theirs.version

    def __hash__(self) -> int:
        binding = self._binding
        return object.__hash__(self) if binding is None else hash((binding.identity, self._key))

    def __repr__(self) -> str:
        info = type(self)._info
        binding = self._binding
        if binding is not None and (state := binding.trouble(self)):
            return f"<{info.public_name} ({state})>"
        return f"<{' '.join([info.public_name, *self._parts()])}>"

    def _parts(self) -> list[str]:
        """What ``repr`` shows of the properties."""
        return [f"{name}={_shown(attribute, self)}" for name, attribute in type(self)._info.attributes.items()]

    if not TYPE_CHECKING:  # to a type checker an unknown name is a mistake

        def __setattr__(self, name: str, value: Any) -> None:
            if name in _STATE:  # first: where nothing is compiled, every object made of a row comes here
                return object.__setattr__(self, name, value)
            attribute = type(self)._info.attributes.get(name)
            if attribute is not None:
                attribute.__set__(self, value)
            elif name.startswith("_") or hasattr(type(self), name):
                object.__setattr__(self, name, value)
            else:
                raise unknown_property(type(self).__name__, name, type(self)._info.attributes)

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_property(type(self).__name__, name, type(self)._info.attributes)

    def __getitem__(self, name: str) -> Any:
        """A property by its name: ``obj["age"]``. Raises InvalidPropertyError."""
        return self._attribute(name).__get__(self)

    def __setitem__(self, name: str, value: Any) -> None:
        self._attribute(name).__set__(self, value)

    #: having items does not make an object a sequence
    __iter__: ClassVar[None] = None
    __contains__: ClassVar[None] = None

    def _attribute(self, name: str) -> Attribute | BacklinksAttribute:
        info = type(self)._info
        attribute = info.attributes.get(name) or info.computed.get(name)
        if attribute is None:
            raise unknown_property(info.public_name, name, info.attributes)
        return attribute

    # --- unmanaged objects ---

    def _default(self, prop: Property) -> Any:
        """The model's default for an unmanaged object: made once, and recorded as a default when it is added."""
        if prop.name not in self._defaults:
            self._defaults[prop.name] = default_value(prop)
        return self._defaults[prop.name]

    def _accepts(self, value: Any, target: str | None) -> bool:
        return isinstance(value, Model) and (target is None or type(value)._info.stored_name == target)


def default_value(prop: Property) -> Any:
    """The model's default for a new object; None if it has none."""
    if prop.default_factory is not None:
        return prop.default_factory()
    return None if prop.default is MISSING else prop.default


class _Anything:
    """Stands for an unmanaged object while defaults are checked; links have no default but None."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}

    def _accepts(self, value: Any, target: str | None) -> bool:
        return False


def _shown(attribute: Attribute, obj: Model) -> str:
    value = attribute.__get__(obj)
    if isinstance(value, Model):
        key = type(value)._info.schema.primary_key
        return f"<{type(value).__name__}>" if key is None else f"<{type(value).__name__} {getattr(value, key.name)!r}>"
    if attribute.property.type.is_collection or hasattr(value, "_reference"):  # a collection inside a Mixed value
        return f"[{len(value)} items]"
    text = repr(int(value)) if attribute.property.counter and value is not None else repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[0] * (text[0] in "'\"")


class EmbeddedModel(Model):
    """Base of classes whose objects belong to exactly one parent and live and die with it (spec/sdk.md §1.9)."""

    __slots__ = ()
    _kind = kinds.EMBEDDED

    class Meta:
        abstract = True

    @property
    def parent(self) -> Model | None:
        """The object that this one belongs to; None while unmanaged."""
        binding = self._binding
        return None if binding is None else binding.owner_of(self)


class AsymmetricModel(Model):
    """Base of classes that are only ever sent to a server (spec/sdk.md §1.10); they need flexible sync."""

    __slots__ = ()
    _kind = kinds.ASYMMETRIC

    class Meta:
        abstract = True
