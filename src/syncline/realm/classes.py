"""The classes of one open Realm: those of its configuration, and whatever else the file has (spec/sdk.md §2.5)."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from syncline.errors import NoSuchTableError, TypeMismatchError
from syncline.query.paths import Names
from syncline.realm.binding import Binding, misfit
from syncline.realm.converters import describe
from syncline.realm.dynamic import dynamic_model
from syncline.realm.models import Model, ModelInfo, ModelMeta
from syncline.realm.schema_changes import Change, compare
from syncline.storage.catalogue import Catalogue, ClassInfo
from syncline.storage.transaction import WriteTransaction

if TYPE_CHECKING:
    from syncline.realm.context import Context

__all__ = ["Classes"]

#: What others may do to a class that a model stands for.
_HARMLESS: Final = {Change.REMOVE_PROPERTY, Change.CHANGE_INDEX}


class Classes:
    """Bindings by class, made when a class is first used. ``models`` by stored name; None: the Realm is dynamic."""

    def __init__(self, context: Context, models: Mapping[str, ModelMeta] | None, *, by_name: bool = False) -> None:
        """``by_name``: other models of the same stored names stand for those of the application (a migration)."""
        self.context = context
        self._by_name = by_name
        self.models = models
        self._known: dict[str, ModelMeta] = dict(models or {})
        self._bindings: dict[int, Binding] = {}
        self._by_class: dict[type[Model] | str, Binding] = {}
        self._missing: dict[str, Binding] = {}
        self._catalogue: Catalogue | None = None
        #: requested classes that :meth:`drop` has removed
        self._dropped: dict[str, ModelMeta] = {}

    def follow(self, catalogue: Catalogue) -> None:
        """The version that is read may have another schema.

        Raises InvalidExternalSchemaChangeError if a class in use is gone or became another one, unless only the file
        says what it is: then it is looked up again, and its objects are invalid. After an error everything is as it
        was.
        """
        for binding in self._bindings.values():
            now = catalogue.find(binding.info.name)
            if now is not binding.info and self.is_requested(binding.info.name) and not (now and binding.fits(now)):
                raise misfit(binding.name, self.context.file.path)
        if self._dropped:
            self._restore(catalogue)
        before = self._catalogue
        if before is not None and before.counter != catalogue.counter:
            self._verify_unused(before, catalogue)
        for name, binding in list(self._missing.items()):
            info = catalogue.find(name)
            if info is not None:
                binding.bind(catalogue)
                self._bindings[info.id] = self._missing.pop(name)
        for binding in list(self._bindings.values()):
            info = catalogue.find(binding.info.name)
            if info is binding.info:
                continue
            if info is None or not binding.fits(info):
                self._lose(binding)
            else:
                binding.bind(catalogue)
        self._catalogue = catalogue

    def _verify_unused(self, before: Catalogue, now: Catalogue) -> None:
        """Models that nothing was asked of yet must fit as well as before."""
        bound = {binding.info.name for binding in self._bindings.values()}
        for name, model in (self.models or {}).items():
            if name in bound or before.find(name) is None:
                continue
            known = {each.change for each in compare(before, [model._info.schema])}
            if not {each.change for each in compare(now, [model._info.schema])} <= known | _HARMLESS:
                raise misfit(model.__name__, self.context.file.path)

    def _lose(self, binding: Binding) -> None:
        """The class of a binding is not what it was."""
        name = binding.info.name
        binding.forget_all()
        self._known.pop(name, None)
        self._bindings = {id: other for id, other in self._bindings.items() if other is not binding}
        self._by_class = {cls: other for cls, other in self._by_class.items() if other is not binding}

    def binding(self, class_id: int) -> Binding:
        """The class of that number in the file."""
        binding = self._bindings.get(class_id)
        if binding is None:
            catalogue = self.context.reader().catalogue
            model = self._model(catalogue.by_id[class_id].name)
            binding = self._bindings[class_id] = Binding(self.context, model, catalogue)
        return binding

    def _model(self, stored_name: str) -> ModelMeta:
        model = self._known.get(stored_name)
        if model is None:
            catalogue = self.context.reader().catalogue
            model = self._known[stored_name] = dynamic_model(catalogue, stored_name, self._declared)
        return model

    def _declared(self, stored_name: str) -> ModelInfo:
        return self._model(stored_name)._info

    def of(self, cls: type[Model] | str) -> Binding:
        """The class given as a model or by name.

        Raises NoSuchTableError if this Realm does not have it, TypeMismatchError for anything else.
        """
        try:
            binding = self._by_class.get(cls)
        except TypeError:  # a list, for example, has no hash
            raise _no_class(cls) from None
        if binding is None:
            binding = self._by_class[cls] = self._look_up(cls)
        return binding

    def _look_up(self, cls: type[Model] | str) -> Binding:
        catalogue = self.context.reader().catalogue
        if isinstance(cls, str):
            name = self.stored_name(cls)
        elif isinstance(cls, ModelMeta):
            name = cls._info.stored_name
            known = self._known.get(name)
            if known is None or not (self._by_name or issubclass(known, cls)):  # perhaps one with more properties
                raise NoSuchTableError(
                    f"{cls.__name__} is not in the schema of this Realm; open it with "
                    f"RealmConfiguration(schema=[{', '.join([*self.names(), cls.__name__])}])"
                )
        else:
            raise _no_class(cls)
        info = catalogue.find(name)
        if info is None and self.models is not None and name in self.models:
            if name not in self._missing:
                self._missing[name] = Binding(self.context, self.models[name], catalogue)
            return self._missing[name]
        if info is None:
            near = get_close_matches(str(cls), self.names(), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.names()) or 'none'}"
            raise NoSuchTableError(f"this Realm has no class {cls!r}: {hint}")
        return self.binding(info.id)

    def stored_name(self, public: str) -> str:
        """The stored name of a class that the application calls so."""
        return next((stored for stored, model in self._known.items() if model.__name__ == public), public)

    def is_requested(self, stored_name: str) -> bool:
        """Whether the application said what the class is; otherwise only the file does."""
        return stored_name in (self.models or ())

    def drop(self, info: ClassInfo) -> None:
        """The open transaction has removed the class; it is back if that is undone."""
        binding = self._bindings.pop(info.id, None)
        if binding is not None:
            binding.forget_all()
        self._by_class = {cls: other for cls, other in self._by_class.items() if other.info.name != info.name}
        if self.models is not None and info.name in self.models:
            self._dropped[info.name] = self.models[info.name]
            self.models = {name: model for name, model in self.models.items() if name != info.name}
        self._known.pop(info.name, None)

    def _restore(self, catalogue: Catalogue) -> None:
        """What was dropped in a transaction that was undone is there again; after a commit it is gone for good."""
        for name in list(self._dropped):
            if catalogue.find(name) is not None:
                model = self._known[name] = self._dropped.pop(name)
                self.models = {**(self.models or {}), name: model}
            elif self.context.tx is None:
                del self._dropped[name]

    def undone(self, tx: WriteTransaction) -> None:
        """The transaction is undone: objects that it deleted stay invalid where they are held (spec/sdk.md §5.1), as do
        those that it made, whose keys later ones get.
        """
        for class_id, keys in tx.changes.deleted.items():
            if class_id in self._bindings:
                for key in keys:
                    self._bindings[class_id].forget(key)
        for class_id, first in tx.workspace.created.items():
            if class_id in self._bindings:
                self._bindings[class_id].forget_from(first)

    def requested(self) -> Mapping[str, ModelMeta] | None:
        """The models by stored name, as of the version that is read; None: whatever the file has."""
        if self._dropped:
            self.context.reader()
        return self.models

    def names(self) -> list[str]:
        """Public names of the classes of this Realm."""
        if self.models is not None:
            return [model.__name__ for model in self.models.values()]
        return list(self.context.reader().catalogue.classes)

    def public_names(self) -> Names:
        """For queries: what the application calls classes and properties."""
        known = self._known.items()
        return Names(
            {model._info.public_name: stored for stored, model in known},
            {stored: _names(model._info) for stored, model in known},
        )


def _no_class(value: object) -> TypeMismatchError:
    return TypeMismatchError(f"expected a model class or the name of one, got {describe(value)}")


def _names(info: ModelInfo) -> dict[str, str | tuple[str, ...]]:
    names: dict[str, str | tuple[str, ...]] = {a.name: a.property.stored_name for a in info.attributes.values()}
    return names | {name: computed.elements() for name, computed in info.computed.items()}
