"""The database alone: models, links, lists, queries, observers. Nothing here needs a network."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from syncline import Field, List, Model, Realm, RealmConfiguration


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str
    age: int | None = None
    born: datetime | None = None


class Person(Model):
    id: int = Field(primary_key=True)
    name: str
    best: Dog | None
    dogs: List[Dog]


def main(folder: Path) -> None:
    config = RealmConfiguration(str(folder / "dogs.realm"), schema=[Dog, Person])
    with Realm.open(config) as realm:
        with realm.write():
            rex = realm.create(Dog, id=1, name="Rex", age=3, born=datetime(2023, 4, 1, tzinfo=UTC))
            fido = realm.create(Dog, id=2, name="Fido", age=9)
            ann = realm.create(Person, id=1, name="Ann", best=rex, dogs=[rex, fido])

        puppies = realm.objects(Dog).where(Dog.age < 5).sort(Dog.name)
        print("puppies:", [dog.name for dog in puppies])

        def tell(dogs, change):
            if not change.initial:
                print(f"puppies changed: {len(change.insertions)} new, {len(change.deletions)} gone; now {len(dogs)}")

        with puppies.observe(tell):
            realm.pump()
            with realm.write():
                ann.dogs.append(realm.create(Dog, id=3, name="Bella", age=1))
                rex.age = 5
            realm.pump()

        print("Ann's dogs:", [dog.name for dog in ann.dogs], "and the best is", ann.best.name)
        with realm.write():
            realm.delete(rex)
        print("without Rex:", [dog.name for dog in ann.dogs], "and the best is", ann.best)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
