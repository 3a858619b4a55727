"""Two devices and a server: both edit offline, come back, and hold the same."""

import tempfile
from pathlib import Path

from syncline import (
    Counter,
    Field,
    List,
    Model,
    ProgressDirection,
    ProgressMode,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncUser,
)
from syncline.testing.processes import ServerProcess


class Task(Model):
    id: int = Field(primary_key=True)
    title: str
    likes: Counter = 0
    steps: List[str]


def device(folder: Path, name: str, server: str) -> Realm:
    """A Realm in a file of its own, synced with ``/tasks`` on the server."""
    user = SyncUser.log_in(SyncCredentials.anonymous(), server)
    sync = SyncConfiguration(user, "/tasks", path=str(folder / f"{name}.realm"))
    return Realm.open(RealmConfiguration(schema=[Task], sync=sync))


def settle(*devices: Realm) -> None:
    """Wait until everybody has sent and received everything."""
    for realm in devices * 2:
        realm.sync_session.wait_for_upload(timeout=30)
        realm.sync_session.wait_for_download(timeout=30)
        realm.refresh()


def main(folder: Path, server: str) -> None:
    phone, laptop = device(folder, "phone", server), device(folder, "laptop", server)
    token = phone.sync_session.observe_connection_state(lambda old, new: print(f"phone: {old.name} → {new.name}"))
    with phone.write():
        phone.create(Task, id=1, title="Bake bread", steps=["mix", "bake"])
    settle(phone, laptop)

    for realm, step, likes in ((phone, "knead", 1), (laptop, "let rise", 2)):
        realm.sync_session.suspend()
        task = realm.get(Task, 1)
        with realm.write():
            task.steps.insert(1, step)
            task.likes += likes
    for realm in (phone, laptop):
        realm.sync_session.resume()
    settle(phone, laptop)

    task = laptop.get(Task, 1)
    print("steps:", list(task.steps), "likes:", int(task.likes))
    print("equal:", phone.content_hash() == laptop.content_hash())

    def report(transferred: int, transferrable: int) -> None:
        print(f"uploaded {transferred} of {transferrable} bytes")

    session = phone.sync_session
    with session.progress_notification(ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, report):
        with phone.write():
            for number in range(2, 200):
                phone.create(Task, id=number, title=f"task {number}")
        session.wait_for_upload(timeout=30)
    token.invalidate()
    for realm in (phone, laptop):
        realm.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        process = ServerProcess(Path(name) / "server")
        try:
            main(Path(name), process.url)
        finally:
            process.stop()
