"""Model classes of app.realm, as Syncline found them.

A file does not know everything about its models. To be added where they are wanted: defaults, backlinks
with names of their own, attributes that are not stored, `Counter` for integers that count, `Timestamp`
for dates that need nanoseconds, types of your own.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from syncline import (
    AsymmetricModel,
    Dictionary,
    EmbeddedModel,
    Field,
    Float32,
    GeoPointModel,
    List,
    Model,
    ObjectId,
    Set,
)

SCHEMA_VERSION = 3


class Everything(Model):
    id: ObjectId = Field(primary_key=True, name="_id")
    p0: int
    p1: List[int]
    p2: Set[int]
    p3: Dictionary[int]
    p4: bool
    p5: List[bool]
    p6: Set[bool]
    p7: Dictionary[bool]
    p8: str
    p9: List[str]
    p10: Set[str]
    p11: Dictionary[str]
    p12: bytes
    p13: List[bytes]
    p14: Set[bytes]
    p15: Dictionary[bytes]
    p16: datetime
    p17: List[datetime]
    p18: Set[datetime]
    p19: Dictionary[datetime]
    p20: Float32
    p21: List[Float32]
    p22: Set[Float32]
    p23: Dictionary[Float32]
    p24: float
    p25: List[float]
    p26: Set[float]
    p27: Dictionary[float]
    p28: Decimal
    p29: List[Decimal]
    p30: Set[Decimal]
    p31: Dictionary[Decimal]
    p32: ObjectId
    p33: List[ObjectId]
    p34: Set[ObjectId]
    p35: Dictionary[ObjectId]
    p36: UUID
    p37: List[UUID]
    p38: Set[UUID]
    p39: Dictionary[UUID]
    p40: int | None
    p41: List[int | None]
    p42: Set[int | None]
    p43: Dictionary[int | None]
    p44: bool | None
    p45: List[bool | None]
    p46: Set[bool | None]
    p47: Dictionary[bool | None]
    p48: str | None
    p49: List[str | None]
    p50: Set[str | None]
    p51: Dictionary[str | None]
    p52: bytes | None
    p53: List[bytes | None]
    p54: Set[bytes | None]
    p55: Dictionary[bytes | None]
    p56: datetime | None
    p57: List[datetime | None]
    p58: Set[datetime | None]
    p59: Dictionary[datetime | None]
    p60: Float32 | None
    p61: List[Float32 | None]
    p62: Set[Float32 | None]
    p63: Dictionary[Float32 | None]
    p64: float | None
    p65: List[float | None]
    p66: Set[float | None]
    p67: Dictionary[float | None]
    p68: Decimal | None
    p69: List[Decimal | None]
    p70: Set[Decimal | None]
    p71: Dictionary[Decimal | None]
    p72: ObjectId | None
    p73: List[ObjectId | None]
    p74: Set[ObjectId | None]
    p75: Dictionary[ObjectId | None]
    p76: UUID | None
    p77: List[UUID | None]
    p78: Set[UUID | None]
    p79: Dictionary[UUID | None]
    p80: Any
    p81: List[Any]
    p82: Set[Any]
    p83: Dictionary[Any]


class Dog(Model):
    class Meta:
        name = "dog"

    name: str = Field(primary_key=True)
    about: str | None = Field(index="fulltext")
    age: int | None = Field(index=True)
    words: List[str] = Field(index=True)
    class_: str = Field(name="class")
    person: Person | None = Field(name="Person")
    # linked from Person.best: Backlinks[Person] = Backlinks.of("best")
    # linked from Person.dogs: Backlinks[Person] = Backlinks.of("dogs")
    # linked from Person.pack: Backlinks[Person] = Backlinks.of("pack")
    # linked from Person.by_name: Backlinks[Person] = Backlinks.of("by_name")


class Spot(GeoPointModel):
    pass


class Address(EmbeddedModel):
    street: str
    at: Spot | None


class Person(Model):
    id: ObjectId = Field(primary_key=True, name="_id")
    best: Dog | None
    dogs: List[Dog]
    pack: Set[Dog]
    by_name: Dictionary[Dog | None] = Field(name="by name")
    home: Address | None
    spots: List[Spot]
    # linked from Dog.person: Backlinks[Dog] = Backlinks.of("person")
    # linked from AReading.of: Backlinks[AReading] = Backlinks.of("of")


class Nothing(Model):
    pass


class AReading(AsymmetricModel):
    class Meta:
        name = "a reading"

    id: ObjectId = Field(primary_key=True, name="_id")
    of: Person | None


SCHEMA: list[type[Model]] = [Everything, Dog, Spot, Address, Person, Nothing, AReading]
