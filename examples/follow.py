"""An asyncio program that follows a collection while another device changes it."""

import asyncio
import tempfile
import threading
from pathlib import Path

from syncline import Field, Model, Realm, RealmConfiguration, SyncConfiguration, SyncCredentials, SyncUser
from syncline.testing.processes import ServerProcess


class Reading(Model):
    id: int = Field(primary_key=True)
    celsius: float


def device(folder: Path, name: str, server: str) -> Realm:
    user = SyncUser.log_in(SyncCredentials.anonymous(), server)
    sync = SyncConfiguration(user, "/readings", path=str(folder / f"{name}.realm"))
    return Realm.open(RealmConfiguration(schema=[Reading], sync=sync))


def sensor(folder: Path, server: str) -> None:
    """Another device, here on another thread: a Realm belongs to the thread that opened it."""
    with device(folder, "sensor", server) as realm:
        for number in range(5):
            with realm.write():
                realm.create(Reading, id=number, celsius=20 + number / 2)
        realm.sync_session.wait_for_upload(timeout=30)


async def main(folder: Path, server: str) -> None:
    realm = device(folder, "screen", server)
    readings = realm.objects(Reading)
    all_here = asyncio.Event()

    def tell(results, change):
        for index in change.insertions:
            print(f"reading {results[index].id}: {results[index].celsius} °C")
        if len(results) == 5:
            all_here.set()

    token = readings.observe(tell)  # called on this event loop, whenever something arrives
    threading.Thread(target=sensor, args=(folder, server)).start()
    await asyncio.wait_for(all_here.wait(), 30)
    token.invalidate()
    realm.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        process = ServerProcess(Path(name) / "server")
        try:
            asyncio.run(main(Path(name), process.url))
        finally:
            process.stop()
