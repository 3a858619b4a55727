"""The source of model classes: what a file has, as a Python module that opens it (spec/sdk.md §14, row 73)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import EmbeddedModel, GeoPointModel, ObjectId, ObjectSchema, Property, Realm
from syncline.errors import ClosedRealmError
from syncline.realm.model_source import model_source
from syncline.realm.validation import validate
from syncline.values import kinds

#: What mypy checks with the other typed models (``make check``).
EXAMPLE: Final = Path(__file__).parents[1] / "typing" / "generated.py"

SCALARS: Final = [
    *("int", "bool", "string", "data", "date", "float", "double", "decimal128", "objectId", "uuid"),
    *("int?", "bool?", "string?", "data?", "date?", "float?", "double?", "decimal128?", "objectId?", "uuid?", "mixed"),
]
TYPES: Final = [scalar + brackets for scalar in SCALARS for brackets in ("", "[]", "<>", "{}")]
KEYS: Final = ["int", "string", "objectId", "uuid", "int?", "string?", "objectId?", "uuid?"]
INDEXED: Final = {"int", "bool", "string", "date", "objectId", "uuid", "mixed", "string[]"}

ODD: Final = [
    *("_id", "id", "class", "None", "True", "match", "type", "self", "int", "str", "list", "datetime", "Any", "List"),
    *("Model", "Field", "Meta", "realm", "observe", "parent", "backlinks", "mro", "Dog", "dog", "SCHEMA", "_", "__x"),
    *("2nd", "first name", "first-name", "first_name", "größe", "ﬁne", "²", "名前", "😀", 'a"b', "a'b", "a\\b", "\"'"),
    *("Dictionary", "longitude", "coordinates", "point", "__init__", "__class__", "x" * 57, "y" * 50 + " z"),
]


def executed(source: str) -> dict[str, Any]:
    """The names that a module defines."""
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "generated.py", "exec"), names)
    return names


def stored(schema: ObjectSchema) -> Any:
    """What a file keeps of a class."""
    properties = {p.stored_name: (p.type, p.primary_key, p.index and not p.primary_key) for p in schema.properties}
    return schema.stored_name, schema.kind, properties


def example() -> list[ObjectSchema]:
    """Classes with every type, and names of every sort."""
    key = Property("_id", "objectId", primary_key=True)
    everything = [Property(f"p{number}", type) for number, type in enumerate(TYPES)]
    links = [
        Property("best", "dog"),
        Property("dogs", "dog[]"),
        Property("pack", "dog<>"),
        Property("by name", "dog{}"),
    ]
    return [
        ObjectSchema("Everything", [key, *everything]),
        ObjectSchema("Person", [key, *links, Property("home", "Address"), Property("spots", "Spot[]")]),
        ObjectSchema(
            "dog",
            [
                Property("name", "string", primary_key=True),
                Property("about", "string?", index="fulltext"),
                Property("age", "int?", index=True),
                Property("words", "string[]", index=True),
                Property("class", "string"),
                Property("Person", "Person"),
            ],
        ),
        ObjectSchema("Address", [Property("street", "string"), Property("at", "Spot")], kind=kinds.EMBEDDED),
        ObjectSchema(
            "Spot", [Property("type", "string"), Property("coordinates", "double[]")], kind=kinds.EMBEDDED
        ),
        ObjectSchema("Nothing", []),
        ObjectSchema("a reading", [key, Property("of", "Person")], kind=kinds.ASYMMETRIC),
    ]  # fmt: skip


def test_the_example_is_what_mypy_checks(tmp_path: Path) -> None:
    source = model_source(example(), file_name="app.realm", version=3)
    assert source == EXAMPLE.read_text(encoding="utf-8")
    check(tmp_path, [source])


def test_a_file_opens_with_its_models_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "app.realm"
    schema = [each for each in example() if each.kind != kinds.ASYMMETRIC]
    with Realm.open(path, schema=schema, schema_version=3) as realm, realm.write():
        rex = realm.create("dog", {"name": "Rex", "class": "terrier"})
        realm.create(
            "Person",
            {
                "_id": ObjectId(),
                "by name": {"Rex": rex},
                "home": {"street": "A", "at": {"type": "Point", "coordinates": [1.0, 2.0]}},
            },
        )
    with Realm.open(path, schema=[schema[-1]], schema_version=3) as realm:  # all that is in the file, not just its own
        source, version = realm.generate_models(), realm.version
    with pytest.raises(ClosedRealmError):
        realm.generate_models()
    assert source.startswith('"""Model classes of app.realm, ')
    models = executed(source)
    assert models["SCHEMA_VERSION"] == 3
    with Realm.open(path, schema=models["SCHEMA"], schema_version=models["SCHEMA_VERSION"]) as realm:
        assert realm.version == version  # there was nothing to change
        assert {name for name, _, _ in map(stored, realm.schema)} == {each.name for each in schema}
        assert realm.generate_models() == source
        person = realm.objects(models["Person"])[0]
        assert person.by_name["Rex"].class_ == "terrier"
        assert (person.home.at.longitude, person.home.at.latitude) == (1.0, 2.0)
        with realm.write():
            person.dogs.append(realm.create(models["Dog"], name="Bo", class_="poodle"))
        assert realm.objects(models["Dog"]).where(models["Dog"].person == None).count() == 2  # noqa: E711
        assert realm.objects(models["Dog"]).filter("class == 'poodle'").count() == 1


def test_names_that_python_cannot_have() -> None:
    schemas = [
        ObjectSchema("dog", [Property(name, "int") for name in ("_id", "id", "class", "by name", "2nd", "int", "Dog")]),
        ObjectSchema("Dog", [Property(name, "dog") for name in ("dog", "realm", "Dog", "名前", "😀", "ﬁne")]),
        ObjectSchema("my dogs", []),
        ObjectSchema("List", []),
        ObjectSchema("7", []),
    ]
    names = executed(model_source(schemas))
    assert [model.__name__ for model in names["SCHEMA"]] == ["Dog2", "Dog", "MyDogs", "List_", "Class7"]
    assert names["SCHEMA_VERSION"] == 0
    assert [p.name for p in names["Dog2"]._info.schema.properties] == [
        *("id_2", "id", "class_", "by_name", "property_2nd", "int_", "dog")
    ]
    assert [p.name for p in names["Dog"]._info.schema.properties] == [
        *("dog", "realm_", "dog_2", "名前", "property", "fine")
    ]


def test_points_have_their_longitude() -> None:
    point = [Property("type", "string"), Property("coordinates", "double[]")]
    schemas = [
        ObjectSchema("Place", [*point, Property("name", "string?")], kind=kinds.EMBEDDED),
        ObjectSchema("Odd", [*point, Property("longitude", "int")], kind=kinds.EMBEDDED),
        ObjectSchema("Area", [point[0], Property("coordinates", "double?[]")], kind=kinds.EMBEDDED),
        ObjectSchema("Shop", point),
    ]
    names = executed(model_source(schemas))
    bases = {name: names[name].__mro__[1] for name in ("Place", "Odd", "Area")}
    assert bases == {"Place": GeoPointModel, "Odd": EmbeddedModel, "Area": EmbeddedModel}
    assert names["Place"](longitude=1, latitude=2).name is None
    assert list(map(stored, sorted((m._info.schema for m in names["SCHEMA"]), key=lambda s: s.name))) == list(
        map(stored, sorted(schemas, key=lambda s: s.name))
    )


# --- any schema -------------------------------------------------------------------------------------------------------

NAMES = st.one_of(st.sampled_from(ODD), st.sampled_from(["a", "b", "age", "Owner"]), st.text("aB_1é -", min_size=1))


@st.composite
def schemas(draw: st.DrawFn) -> list[ObjectSchema]:
    names = draw(st.lists(NAMES.filter(lambda name: len(name.encode()) <= 57), min_size=1, max_size=5, unique=True))
    kinds_of = {name: draw(st.sampled_from([kinds.TOP_LEVEL] * 3 + [kinds.EMBEDDED])) for name in names}
    found = []
    for place, name in enumerate(names):
        properties = []
        for prop in draw(st.lists(NAMES, max_size=8, unique=True)):
            target = draw(st.sampled_from(names))
            embedded = kinds_of[target] == kinds.EMBEDDED
            brackets = draw(st.sampled_from(["", "[]", "{}"] if embedded else ["", "[]", "<>", "{}"]))
            if draw(st.booleans()) and not (embedded and names.index(target) <= place):  # embedded classes: no circles
                type = Property("x", "Dog" + brackets).type
                type = type.__class__(type.kind, type.nullable, type.collection, target)
                properties.append(Property(prop, type))
                continue
            text = draw(st.sampled_from(TYPES))
            index: bool | str = text.replace("?", "") in INDEXED and draw(st.booleans())
            if text in ("string", "string?") and draw(st.booleans()):
                index = "fulltext"
            properties.append(Property(prop, text, index=index))
        if kinds_of[name] == kinds.TOP_LEVEL and draw(st.booleans()) and "key" not in {p.name for p in properties}:
            properties.insert(
                draw(st.integers(0, len(properties))), Property("key", draw(st.sampled_from(KEYS)), primary_key=True)
            )
        found.append(ObjectSchema(name, properties, kind=kinds_of[name]))
    return found


def test_any_schema_comes_back(tmp_path: Path) -> None:
    sources: list[str] = []

    @settings(max_examples=int(os.environ.get("SYNCLINE_MODEL_SOURCES", "40")), deadline=None)
    @given(schemas())
    def comes_back(given: list[ObjectSchema]) -> None:
        validate(given)
        sources.append(model_source(given))
        found = [model._info.schema for model in executed(sources[-1])["SCHEMA"]]
        validate(found)
        assert sorted(map(stored, found), key=repr) == sorted(map(stored, given), key=repr)

    comes_back()
    check(tmp_path, sources)


def check(folder: Path, sources: list[str]) -> None:
    """The modules are formatted, and there is nothing to complain about."""
    for number, source in enumerate(sources):
        (folder / f"m{number}.py").write_text(source, encoding="utf-8")
    rules = "E,F,W,I,UP,B,C4,SIM,RUF,PIE"
    for arguments in (["format", "--diff"], ["check", "--select", rules, "--ignore", "RUF001,RUF003"]):
        options = ["--isolated", "--no-cache", "--line-length", "120", str(folder)]
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, *options], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
