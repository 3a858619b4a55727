"""What the demo stores: the airports of the world, their countries, and a journey that both devices edit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncline import Counter, Field, List, Model

__all__ = ["SCHEMA", "Airport", "Country", "Journey", "Reading", "airports"]


class Country(Model):
    """A country and, in the order of their import, its airports."""

    code: str = Field(primary_key=True)
    visits: Counter = Counter(0)
    airports: List[Airport]


class Airport(Model):
    """An airport as the package airportsdata describes it."""

    icao: str = Field(primary_key=True)
    iata: str | None
    name: str
    city: str
    region: str
    country: Country | None
    elevation_ft: float
    latitude: float
    longitude: float
    timezone: str


class Journey(Model):
    """A list of stops that both devices change while they cannot see each other."""

    id: int = Field(primary_key=True)
    title: str
    stops: List[Airport]


class Reading(Model):
    """A small object made in large numbers: what the server is killed over, and what latency is measured with."""

    id: int = Field(primary_key=True)
    station: str
    hour: int
    celsius: float


SCHEMA: list[type[Model]] = [Country, Airport, Journey, Reading]


def airports(limit: int) -> Iterator[dict[str, Any]]:
    """The rows of airportsdata in order, all of them or the first ``limit``."""
    import airportsdata

    for number, row in enumerate(airportsdata.load("ICAO").values()):
        if limit and number >= limit:
            return
        yield dict(row)
