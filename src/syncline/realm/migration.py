"""Migration: making an old file fit new models, with the application's help (spec/sdk.md §2.4).

::

    def migrate(m):
        if m.old_version < 1:
            for old, new in m.enumerate("Person"):
                new.full_name = f"{old.first} {old.last}"
        if m.old_version < 2:
            m.rename_property("Person", "phone", "telephone")

Everything happens in one write transaction: an exception leaves the file as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from syncline.errors import MigrationFailedError
from syncline.realm.classes import Classes
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.dynamic import schema_of
from syncline.realm.models import Model, ModelInfo, ModelMeta
from syncline.realm.schema import ObjectSchema, Property
from syncline.realm.schema_changes import compare
from syncline.realm.schema_models import model_of_schema
from syncline.realm.schema_writing import change_first, change_last
from syncline.storage import evolution, restructuring
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.file import RealmFile
from syncline.storage.snapshot import Snapshot
from syncline.storage.transaction import WriteTransaction
from syncline.values import Key

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.realm import Realm

__all__ = ["MakeRealm", "Migration", "Step", "Work", "work_in"]

#: Objects of the old Realm that are read at once.
_PAGE: Final = 256


class MakeRealm(Protocol):
    """Makes a Realm for a function of the application: of a version, or to join a transaction."""

    def __call__(
        self,
        config: RealmConfiguration,
        file: RealmFile,
        models: Mapping[str, ModelMeta] | None,
        snapshot: Snapshot | None = None,
    ) -> Realm: ...


class Work(Enum):
    """What has to be done to a file."""

    NOTHING = 0
    APPLY = 1
    MIGRATE = 2


@contextmanager
def work_in(
    file: RealmFile, config: RealmConfiguration, make_realm: MakeRealm, models: Mapping[str, ModelMeta]
) -> Iterator[Step]:
    """One write transaction for all that is done to the schema; an exception undoes it."""
    with file.write() as tx:
        yield Step(file, tx, config, make_realm, models)


class Step:
    """The work on a file, inside its transaction."""

    def __init__(
        self,
        file: RealmFile,
        tx: WriteTransaction,
        config: RealmConfiguration,
        make_realm: MakeRealm,
        models: Mapping[str, ModelMeta],
    ) -> None:
        self.tx = tx
        self._file = file
        self._config = config
        self._make_realm = make_realm
        self._models = models

    def fill(self) -> None:
        """Call ``initial_data``."""
        assert self._config.initial_data is not None
        with self._joined(self._models) as realm:
            self._config.initial_data(realm)

    def migrate(self, schemas: Sequence[ObjectSchema], old_version: int, *, by_hand: bool) -> None:
        """Steps 2 to 5 of spec/sdk.md §2.4; ``by_hand``: the function does it all, and nothing may be left to do."""
        tx = self.tx
        loose = set() if by_hand else change_first(tx, schemas)
        if self._config.migration is not None:
            migration = Migration(tx, schemas, old_version, self._config.schema_version, by_hand=by_hand)
            self._run(migration)
            loose |= migration.loose
        if by_hand:
            left = [str(change) for change in compare(tx.catalogue, schemas)]
            if left:
                text = "\n".join(f"- {each}" for each in left)
                raise MigrationFailedError(
                    f"the models still differ from {self._file.path} after the migration:\n{text}"
                )
            classes = [info for name in loose if (info := tx.catalogue.find(name)) is not None]
            restructuring.tighten_keys(tx.workspace, classes)
        else:
            change_last(tx, schemas, loose, self._config.resolve_embedded_constraints)

    def _run(self, migration: Migration) -> None:
        function = self._config.migration
        assert function is not None
        plain = self._config.replace(migration=None, initial_data=None)
        old = self._make_realm(plain.replace(schema=None), self._file, None, self._file.snapshot())
        try:
            with self._joined(None) as new:
                migration.begin(old, new)
                if _takes_two(function):
                    function(old, new)  # type: ignore[call-arg, arg-type]
                else:
                    function(migration)  # type: ignore[call-arg, arg-type]
        finally:
            old.close()

    @contextmanager
    def _joined(self, models: Mapping[str, ModelMeta] | None) -> Iterator[Realm]:
        realm = self._make_realm(self._config, self._file, models)
        context = realm._context
        try:
            context.join(self.tx)
            yield realm
            self.tx.flush()
        finally:
            context.leave()
            realm.close()


def _takes_two(function: Callable[..., object]) -> bool:
    """Whether it wants the two Realms rather than the Migration."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # written in C
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len([each for each in parameters if each.kind in positional and each.default is each.empty]) == 2


class Migration:
    """What a migration function works with.

    ``old``: the Realm at the version before, with the classes and properties it had; it cannot be written.
    ``new``: the Realm as it will be, open for writing; its objects also have the properties that will be removed, and
    their primary keys can be assigned. ``old_version``, ``new_version``: schema versions. Usable until the function
    returns.
    """

    old: Realm
    new: Realm

    def __init__(
        self,
        tx: WriteTransaction,
        schemas: Sequence[ObjectSchema],
        old_version: int,
        new_version: int,
        *,
        by_hand: bool = False,
    ) -> None:
        """``schemas``: those that the file is to have; ``by_hand``: it has nothing of them yet."""
        self.old_version = old_version
        self.new_version = new_version
        #: classes whose primary keys need not be unique now, by stored name
        self.loose: set[str] = set()
        self._tx = tx
        self._wanted = schemas
        self._schemas = {} if by_hand else {schema.stored_name: schema for schema in schemas}

    def begin(self, old: Realm, new: Realm) -> None:
        """The Realms are there."""
        self.old, self.new = old, new
        new._context.assign_key = self._assign_key
        new._context.delete_class = self.delete_model
        self._show()

    def _show(self) -> None:
        """The schema may have changed: the new Realm's classes are made anew."""
        context = self.new._context
        context.classes = Classes(context, _models(self._tx.catalogue, self._schemas), by_name=True)
        context.touch()

    def enumerate(self, cls: type[Model] | str) -> Iterator[tuple[Any, Any]]:
        """Pairs of ``(old object, new object)`` of a class, in the order of their creation.

        The old one is None for an object that was created in this migration, the new one for one that was deleted.
        Raises NoSuchTableError for a class that neither Realm has.
        """
        name = self._stored_name(cls)
        before = self._binding(self.old, name)
        now = self._binding(self.new, name)
        if before is None and now is None:
            self.new.objects(cls)  # raises
        old_keys = _keys(before)
        new_keys = _keys(now)
        ordered = sorted({*old_keys, *new_keys})
        for start in range(0, len(ordered), _PAGE):
            page = ordered[start : start + _PAGE]
            olds = {} if before is None else {obj._key: obj for obj in before.page(page)}
            for key in page:
                new = None if now is None or not self._tx.exists(now.info, key) else now.object_at(key)
                if key in olds or new is not None:
                    yield olds.get(key), new

    def _binding(self, realm: Realm, name: str) -> Binding | None:
        known = realm._context.reader().catalogue.find(name)
        return None if known is None else realm._context.classes.binding(known.id)

    def _stored_name(self, cls: type[Model] | str) -> str:
        if not isinstance(cls, str):
            return cls._info.stored_name
        return next((stored for stored, schema in self._schemas.items() if schema.name == cls), cls)

    def _assign_key(self, info: ClassInfo, k: int, key: Key) -> None:
        if info.name not in self.loose:
            restructuring.loosen_keys(self._tx.workspace, [info])
            self.loose.add(info.name)
        restructuring.assign_key(self._tx.workspace, self._tx.catalogue.classes[info.name], k, key)

    # --- the schema ---------------------------------------------------------------------------------------------------

    def rename_property(self, cls: type[Model] | str, old_name: str, new_name: str) -> None:
        """Keep the values of a property under another (stored) name. Rename before you read objects of the class.

        Raises MigrationFailedError: no such class or property, the models still have the old name, types do not agree,
        or null could be lost.
        """
        name = self._stored_name(cls)
        info = self._tx.catalogue.find(name)
        schema = self._schemas.get(name)
        if info is None or (schema is None and self._schemas):
            raise MigrationFailedError(f"rename_property: {name} is no class of both the file and the models")
        wanted = {prop.stored_name: prop for prop in schema.properties} if schema is not None else {}
        old, new = info.properties.get(old_name), info.properties.get(new_name)
        if old_name in wanted:
            raise MigrationFailedError(f"rename_property: the model {name} still has {old_name}")
        if old is None:
            raise MigrationFailedError(f"rename_property: the file has no property {name}.{old_name}")
        if new is not None:
            self._make_way(info, old, new)
        now = self._tx.catalogue.classes[name]
        restructuring.rename(self._tx.workspace, now, now.properties[old_name], new_name)
        if new_name in wanted and wanted[new_name].type.nullable and not old.nullable:
            now = self._tx.catalogue.classes[name]
            restructuring.make_optional(self._tx.workspace, now, now.properties[new_name])
        self._show()

    def _make_way(self, info: ClassInfo, old: PropertyInfo, new: PropertyInfo) -> None:
        """Remove the property that has the name; it was added for this migration."""
        if (old.type, old.collection, old.target) != (new.type, new.collection, new.target):
            raise MigrationFailedError(f"rename_property: {info.name}.{old.name} and {new.name} differ in their types")
        if old.nullable and not new.nullable:
            raise MigrationFailedError(
                f"rename_property: {info.name}.{old.name} may be null and {new.name} may not: convert the values"
            )
        if new.is_primary_key:
            restructuring.set_primary_key(self._tx, info, old)
            self.loose.add(info.name)
        now = self._tx.catalogue.classes[info.name]
        self._tx.erase_property(now, now.properties[new.name])

    def delete_model(self, cls: type[Model] | str) -> bool:
        """Remove a class with its objects; whether there was one. A class that the models have comes back empty.

        Raises MigrationFailedError while a property that stays links to it.
        """
        name = self._stored_name(cls)
        info = self._tx.catalogue.find(name)
        if info is None:
            return False
        for prop in self._tx.catalogue.links_to(info):
            owner = self._tx.catalogue.by_id[prop.class_id]
            if owner.id != info.id and self._stays(owner.name, prop.name):
                raise MigrationFailedError(f"delete_model: {owner.name}.{prop.name} links to {name}")
        for prop in self._tx.catalogue.links_to(info):
            if prop.class_id != info.id:
                owner = self._tx.catalogue.by_id[prop.class_id]
                self._tx.erase_property(owner, owner.properties[prop.name])
        evolution.erase_class(self._tx.workspace, self._tx.catalogue.classes[name], True)
        self._show()
        return True

    def _stays(self, class_name: str, property_name: str) -> bool:
        schema = self._schemas.get(class_name)
        return schema is None or any(prop.stored_name == property_name for prop in schema.properties)

    def update_schema(self) -> None:
        """In the schema mode MANUAL: make the file's schema that of the configuration, as AUTOMATIC would."""
        change_last(self._tx, self._wanted, self.loose, self.new.config.resolve_embedded_constraints)
        self._show()


def _keys(binding: Binding | None) -> list[int]:
    return [] if binding is None else binding.context.reader().keys(binding.info)


def _models(catalogue: Catalogue, schemas: Mapping[str, ObjectSchema]) -> dict[str, ModelMeta]:
    """Models for all classes of the file: what the application's models say, and what else there is."""
    models: dict[str, ModelMeta] = {}

    def find(name: str) -> ModelInfo:
        return models[name]._info

    for name, info in catalogue.classes.items():
        schema = schemas.get(name)
        models[name] = model_of_schema(
            schema_of(info) if schema is None else _merged(schema, info), find, is_checked=True
        )
    return models


def _merged(schema: ObjectSchema, info: ClassInfo) -> ObjectSchema:
    """The properties of the model that are there already, and those that will be removed."""
    key = info.primary_key.name if info.primary_key is not None else None
    properties = [_unindexed(prop, key) for prop in schema.properties if prop.stored_name in info.properties]
    known = {prop.name for prop in properties} | {prop.stored_name for prop in properties}
    properties += [_leaving(_unindexed(prop, key)) for prop in schema_of(info).properties if prop.name not in known]
    return ObjectSchema(schema.name, properties, kind=info.kind, stored_name=schema.stored_name)


def _leaving(prop: Property) -> Property:
    """A property that will be removed: nobody has to give new objects a value for it."""
    return replace(prop, default=None) if prop.required else prop


def _unindexed(prop: Property, key: str | None) -> Property:
    return replace(prop, primary_key=prop.stored_name == key, index=False)
