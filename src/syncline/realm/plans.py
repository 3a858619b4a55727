"""Plans: what creating an object of one class takes, worked out once per class (spec/changesets.md §9.6).

Which values need no conversion, which defaults are constants, which properties can only be set after the row exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from syncline.errors import MissingPropertyValueError, ObjectAlreadyExistsError
from syncline.realm.attributes import Attribute
from syncline.realm.converters import Converter
from syncline.realm.models import Model, default_value, unknown_property
from syncline.realm.schema import MISSING, Property
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.transaction import WriteTransaction

if TYPE_CHECKING:
    from syncline.realm.binding import Binding

__all__ = ["NO_DEFAULTS", "Initial", "Plan", "default_of"]

#: A value that a new row starts with: property, stored value, whether it is a default.
Initial: TypeAlias = tuple[PropertyInfo, Any, bool]

#: No defaults were made beforehand.
NO_DEFAULTS: Final[Mapping[str, Any]] = {}

#: In place of a default: there is none, and a value is needed.
_REQUIRED: Final = object()


class _Plain(NamedTuple):
    """A scalar property. ``default``: None for nothing to do, ``_REQUIRED``, a finished initial value, or a
    function.
    """

    name: str
    exact: Any
    converter: Converter
    place: PropertyInfo
    default: Any


class Plan:
    """How to create objects of the class ``binding`` stands for."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        attributes = list(binding.model._info.attributes.values())
        self.key: Attribute | None = next((a for a in attributes if a.property.primary_key), None)
        others = [a for a in attributes if not a.property.primary_key]
        plain = [a for a in others if not a.property.type.is_collection and a.converter.is_scalar]
        self.plain = [self._plain(attribute) for attribute in plain]
        self.rest = [attribute for attribute in others if attribute not in plain]
        #: objects of the class are complete as soon as their row is
        self.is_plain = not self.rest and not binding.info.embedded
        self.public_names = {a.property.stored_name: a.name for a in attributes if a.property.stored_name != a.name}

    def _plain(self, attribute: Attribute) -> _Plain:
        prop, converter = attribute.property, attribute.converter
        place = self.binding.places[attribute.place]
        default: Any = None
        if prop.default_factory is not None:
            default = prop.default_factory
        elif prop.required:
            default = _REQUIRED
        elif prop.default is not MISSING and prop.default is not None:
            default = (place, converter.store(prop.default, self.binding.context), True)
        return _Plain(attribute.name, converter.exact, converter, place, default)

    def named(self, values: Mapping[str, Any], ignore_unknown: bool = False) -> Mapping[str, Any]:
        """The values by public names; stored names are accepted too.

        Raises InvalidPropertyError for unknown names, or leaves them out.
        """
        known = self.binding.model._info.attributes
        renamed = {self.public_names.get(name, name): value for name, value in values.items()}
        if ignore_unknown:
            return {name: value for name, value in renamed.items() if name in known}
        for name in renamed:
            if name not in known:
                if name in self.binding.model._info.computed:
                    raise self.binding.model._info.computed[name].read_only()
                raise unknown_property(self.binding.name, name, known)
        return renamed

    def create(self, tx: WriteTransaction, values: Mapping[str, Any]) -> Model:
        """A new object of a class that :attr:`is_plain`."""
        initial, used = self.scalars(values, NO_DEFAULTS)
        key = self.key
        if key is not None and key.name in values:
            used += 1
        if used != len(values):
            return self.create(tx, self.named(values))
        return self.binding.new(self.insert(tx, self.key_of(values, NO_DEFAULTS), initial))

    def insert(self, tx: WriteTransaction, key: Any, initial: list[Initial]) -> int:
        """The number of a new row. Raises ObjectAlreadyExistsError if there is one with that key."""
        binding = self.binding
        if self.key is not None and tx.find(binding.info, key) is not None:
            raise ObjectAlreadyExistsError(binding.name, key)
        row, _ = tx.create(binding.info, key, initial)
        binding.context.changes += 1
        return row

    def scalars(self, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[list[Initial], int]:
        """What the scalar properties of a new row start with, and how many of ``values`` that uses.

        ``defaults`` are those that an unmanaged object made before. Raises MissingPropertyValueError for
        values that are missing.
        """
        context = self.binding.context
        initial: list[Initial] = []
        missing: list[str] = []
        used = 0
        for name, exact, converter, place, default in self.plain:
            value = values.get(name, MISSING)
            if value is not MISSING:
                used += 1
                initial.append((place, value if type(value) is exact else converter.store(value, context), False))
            elif name in defaults:
                if defaults[name] is not None:
                    initial.append((place, converter.store(defaults[name], context), True))
            elif default is None:
                pass
            elif type(default) is tuple:
                initial.append(default)
            elif default is _REQUIRED:
                missing.append(name)
            else:
                initial.append((place, converter.store(default(), context), True))
        if missing:
            self.named(values)  # a misspelt name explains it better
            raise _missing(self.binding.name, missing)
        return initial, used

    def check_required(self, values: Mapping[str, Any], defaults: Mapping[str, Any] = NO_DEFAULTS) -> None:
        """Raise MissingPropertyValueError if a value is missing."""
        names = [each.name for each in self.plain if each.default is _REQUIRED]
        missing = [name for name in names if name not in values and name not in defaults]
        if missing:
            raise _missing(self.binding.name, missing)

    def key_of(self, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
        """The primary key given, or the model's default for it (spec/sdk.md §6.1); None for a class without."""
        attribute = self.key
        if attribute is None:
            return None
        prop = attribute.property
        value = values.get(attribute.name, MISSING)
        if value is MISSING:
            value = values.get(prop.stored_name, MISSING)
        if value is MISSING:
            if prop.has_default:
                value = default_of(prop, defaults)
            elif prop.type.nullable:
                value = None
            else:
                raise MissingPropertyValueError(f"{attribute.converter.where}: the primary key needs a value")
        if type(value) is attribute.converter.exact:
            return value
        return attribute.converter.store(value, self.binding.context)


def default_of(prop: Property, defaults: Mapping[str, Any]) -> Any:
    """The default that was made before, or a new one."""
    return defaults[prop.name] if prop.name in defaults else default_value(prop)


def _missing(owner: str, names: list[str]) -> MissingPropertyValueError:
    listed = ", ".join(f"{owner}.{name}" for name in names)
    return MissingPropertyValueError(f"{listed}: a value is needed; give one, a default, or declare '| None'")
