"""Any query on any data of any schema: the Realm finds what the evaluator says (spec/sdk.md §13.7, §16)."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.query.strategies import CLASSES, KEYS, predicates, schemas, stages, values

from syncline import ObjectSchema, Property, QueryError, Realm, RealmConfiguration, Results
from syncline.query.evaluator import evaluate
from syncline.query.printing import query_to_rql
from syncline.storage.query_objects import StoredObjects
from syncline.values import kinds

#: ``SYNCLINE_QUERY_EXAMPLES=5000`` for a long look.
EXAMPLES = int(os.environ.get("SYNCLINE_QUERY_EXAMPLES", "10"))
OBJECTS = 4
QUERIES = 12


def opened(description: dict[str, dict[str, str]]) -> Realm:
    classes = []
    for name, properties in description.items():
        listed = [
            Property(each, text, primary_key=each == "id", index="fulltext" if each == "words" else indexed(each, text))
            for each, text in properties.items()
        ]
        classes.append(ObjectSchema(name, listed))
    return Realm.open(RealmConfiguration(in_memory=True, schema=classes))


def indexed(name: str, text: str) -> bool:
    """Every other property that can have an index has one."""
    return name[1:] in ("0", "2") and text.rstrip("?") in ("int", "bool", "string", "date", "objectId", "uuid", "mixed")


def fill(realm: Realm, data: st.DataObject) -> None:
    """A few objects of each class with random values, and links between them; one is deleted again."""
    made: dict[str, list[Any]] = {}
    catalogue = realm._context.reader().catalogue
    with realm.write():
        for name in CLASSES:
            made[name] = []
            for number in range(OBJECTS):
                plain = {
                    prop.name: data.draw(content(prop))
                    for prop in catalogue.classes[name].properties.values()
                    if prop.type != kinds.LINK and prop.name != "id"
                }
                made[name].append(realm.create(name, {"id": number, **plain}))
        for name in CLASSES:
            for prop in catalogue.classes[name].properties.values():
                if prop.type == kinds.LINK:
                    link(made[name], prop, made[str(prop.target)], data)
        if data.draw(st.booleans()):
            realm.delete(made["A"][-1])


@st.composite
def content(draw: Any, prop: Any) -> Any:
    value = values(prop.type, prop.nullable)
    if prop.collection == kinds.SINGLE_COLLECTION:
        return draw(value)
    if prop.collection == kinds.DICTIONARY_COLLECTION:
        return draw(st.dictionaries(st.sampled_from(KEYS), value, max_size=3))
    elements = draw(st.lists(value, max_size=3))
    if prop.collection == kinds.SET_COLLECTION:
        return [each for each in elements if not isinstance(each, list | dict)]
    return elements


def link(sources: list[Any], prop: Any, targets: list[Any], data: st.DataObject) -> None:
    for source in sources:
        if prop.collection == kinds.SINGLE_COLLECTION:
            setattr(source, prop.name, data.draw(st.sampled_from([None, *targets])))
        elif prop.collection == kinds.DICTIONARY_COLLECTION:
            chosen = data.draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from([None, *targets]), max_size=3))
            setattr(source, prop.name, chosen)
        else:
            chosen = data.draw(st.lists(st.sampled_from(range(len(targets))), max_size=3))
            setattr(source, prop.name, [targets[place] for place in chosen])


def check(results: Results[Any]) -> None:
    """The Realm finds what the evaluator says, also by the text that the query prints as."""
    reader, info, query = results._context.reader(), results._binding.info, results._resolve()
    expected = evaluate(query, info, reader.keys(info), StoredObjects(reader))
    assert list(results._all_keys()) == expected, results.description
    for text in (results.description, query_to_rql(query)):
        again = results._context.realm.objects(info.name).filter(text)
        assert repr(again._resolve()) == repr(query), text  # equal, also where a NaN is in it
    counted = results._context.realm.objects(info.name).filter(results.description)
    assert len(counted) == len(expected), results.description


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(schemas(), st.data())
def test_any_query(description: dict[str, dict[str, str]], data: st.DataObject) -> None:
    with opened(description) as realm:
        fill(realm, data)
        catalogue = realm._context.reader().catalogue
        for _ in range(QUERIES):
            cls = catalogue.classes[data.draw(st.sampled_from(CLASSES))]
            text = data.draw(predicates(catalogue, cls)) + data.draw(stages(cls))
            try:
                results = realm.objects(cls.name).filter(text)
            except QueryError:
                continue
            check(results)
