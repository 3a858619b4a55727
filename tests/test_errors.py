"""The hierarchy of errors is that of spec/sdk.md §10: what catches what, and realm-core's name for it."""

from __future__ import annotations

import pickle

import pytest

from syncline import errors

#: name → (bases beside Exception's own that catch it, core's name)
HIERARCHY: dict[str, tuple[tuple[type[BaseException], ...], str]] = {
    "SchemaError": ((errors.RealmError,), "SchemaMismatch"),
    "SchemaValidationError": ((errors.SchemaError,), "SchemaValidationFailed"),
    "InvalidNameError": ((errors.SchemaError,), "InvalidName"),
    "NoSuchTableError": ((errors.RealmError, LookupError), "NoSuchTable"),
    "InvalidPropertyError": ((errors.RealmError, AttributeError), "InvalidProperty"),
    "ReadOnlyPropertyError": ((errors.RealmError, AttributeError), "ReadOnlyProperty"),
    "ModifyPrimaryKeyError": ((errors.RealmError, AttributeError), "ModifyPrimaryKey"),
    "MissingPropertyValueError": ((errors.RealmError, TypeError), "MissingPropertyValue"),
    "MissingPrimaryKeyError": ((errors.RealmError, ValueError), "MissingPrimaryKey"),
    "ObjectAlreadyExistsError": ((errors.RealmError, ValueError), "ObjectAlreadyExists"),
    "TypeMismatchError": ((errors.RealmError, TypeError), "TypeMismatch"),
    "PropertyNotNullableError": ((errors.TypeMismatchError,), "PropertyNotNullable"),
    "ObjectTypeMismatchError": ((errors.TypeMismatchError,), "ObjectTypeMismatch"),
    "LimitExceededError": ((errors.RealmError, ValueError), "LimitExceeded"),
    "OutOfBoundsError": ((errors.RealmError, IndexError), "OutOfBounds"),
    "KeyNotFoundError": ((errors.RealmError, KeyError), "KeyNotFound"),
    "InvalidDictionaryKeyError": ((errors.RealmError, KeyError, ValueError), "InvalidDictionaryKey"),
    "IllegalOperationError": ((errors.RealmError,), "IllegalOperation"),
    "WrongTransactionStateError": ((errors.RealmError, RuntimeError), "WrongTransactionState"),
    "InvalidatedObjectError": ((errors.RealmError,), "InvalidatedObject"),
    "StaleAccessorError": ((errors.InvalidatedObjectError,), "StaleAccessor"),
    "ClosedRealmError": ((errors.RealmError,), "ClosedRealm"),
    "WrongThreadError": ((errors.RealmError, RuntimeError), "WrongThread"),
    "QueryError": ((errors.RealmError, ValueError), "InvalidQuery"),
    "QuerySyntaxError": ((errors.QueryError,), "SyntaxError"),
    "QueryArgumentError": ((errors.QueryError,), "InvalidQueryArg"),
    "InvalidSortDescriptorError": ((errors.QueryError,), "InvalidSortDescriptor"),
    "IllegalCombinationError": ((errors.ConfigurationError, ValueError), "IllegalCombination"),
    "MismatchedConfigError": ((errors.ConfigurationError,), "MismatchedConfig"),
    "FileError": ((errors.RealmError, OSError), "FileAccess"),
    "InvalidDatabaseError": ((errors.FileError,), "InvalidDatabase"),
    "DecryptionFailedError": ((errors.FileError,), "DecryptionFailed"),
    "DiskFullError": ((errors.FileError,), "OutOfDiskSpace"),
}


@pytest.mark.parametrize("name", HIERARCHY)
def test_errors_have_their_bases_and_the_name_that_core_gives_them(name: str) -> None:
    bases, code = HIERARCHY[name]
    error = getattr(errors, name)
    assert all(issubclass(error, base) for base in (*bases, errors.SynclineError))
    assert error.code == code
    assert name in errors.__all__


def test_errors_tell_what_programs_want_to_know() -> None:
    taken = errors.ObjectAlreadyExistsError("Dog", 7)
    assert (taken.object_class, taken.key) == ("Dog", 7)
    assert "a Dog with the primary key 7 exists already" in str(taken)
    again = pickle.loads(pickle.dumps(taken))
    assert (again.object_class, again.key, str(again)) == ("Dog", 7, str(taken))
    schema = errors.SchemaValidationError("two problems", ["a", "b"])
    assert schema.errors == ("a", "b")
    assert errors.SchemaValidationError("one").errors == ("one",)


def test_key_errors_show_their_text_as_it_is() -> None:
    assert str(errors.KeyNotFoundError("there is no key 'a'")) == "there is no key 'a'"
    assert str(errors.InvalidDictionaryKeyError("a 'key'")) == "a 'key'"
