"""What the application touches: models, Realms, results, collections, transactions, notifications (spec/sdk.md)."""

from syncline.realm.assigning import UpdateMode
from syncline.realm.async_open import AsyncOpenTask
from syncline.realm.backlinks import Backlinks
from syncline.realm.changes import CollectionChange, DictionaryChange, ObjectChange, RealmChange
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.custom_types import register_type
from syncline.realm.declarations import Counter, Field
from syncline.realm.dictionaries import Dictionary
from syncline.realm.geo import GeoPointModel
from syncline.realm.gui_schedulers import QtScheduler, TkScheduler
from syncline.realm.lists import List
from syncline.realm.migration import Migration
from syncline.realm.models import AsymmetricModel, EmbeddedModel, Model
from syncline.realm.realm import Realm
from syncline.realm.references import ThreadSafeReference
from syncline.realm.results import Results
from syncline.realm.schedulers import AsyncioScheduler, FrozenScheduler, Scheduler, ThreadScheduler
from syncline.realm.schema import ObjectSchema, Property
from syncline.realm.schema_changes import SchemaMode, SchemaSubsetMode
from syncline.realm.section_changes import SectionedChange
from syncline.realm.sections import Section, SectionedResults, first_letter
from syncline.realm.sets import Set
from syncline.realm.snapshots import Explanation, Snapshot
from syncline.realm.stored import Stored
from syncline.realm.streams import Changes
from syncline.realm.tokens import NotificationToken
from syncline.realm.validation import ValidationMode

__all__ = [
    "AsymmetricModel",
    "AsyncOpenTask",
    "AsyncioScheduler",
    "Backlinks",
    "Changes",
    "CollectionChange",
    "Counter",
    "Dictionary",
    "DictionaryChange",
    "EmbeddedModel",
    "Explanation",
    "Field",
    "FrozenScheduler",
    "GeoPointModel",
    "List",
    "Migration",
    "Model",
    "NotificationToken",
    "ObjectChange",
    "ObjectSchema",
    "Property",
    "QtScheduler",
    "Realm",
    "RealmChange",
    "RealmConfiguration",
    "Results",
    "Scheduler",
    "SchemaMode",
    "SchemaSubsetMode",
    "Section",
    "SectionedChange",
    "SectionedResults",
    "Set",
    "Snapshot",
    "Stored",
    "ThreadSafeReference",
    "ThreadScheduler",
    "TkScheduler",
    "UpdateMode",
    "ValidationMode",
    "first_letter",
    "register_type",
]
