from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.changeset import DownloadCursor
from syncline.protocol.bodies import EMPTY_BODY
from syncline.server.bounded_cache import BoundedCache
from syncline.server.downloads import OwnChanges, Tail, encode_chunk, scan
from syncline.server.log_store import LogEntry

START = DownloadCursor()


def log(*sizes: tuple[int, int]) -> list[LogEntry]:
    """Entries of (origin, size)."""
    entries, total = [], 0
    for version, (origin, size) in enumerate(sizes, 1):
        total += size
        entries.append(LogEntry(version, 7, origin, 10 * version, 1000 + version, total, b"x" * size))
    return entries


def test_own_changes_are_left_out_but_move_the_cursor() -> None:
    found = scan(log((2, 10), (3, 10), (2, 10)), START, 2, 1000)
    assert found.cursor == (3, 30)
    assert [(e.server_version, e.last_integrated_client_version, e.origin_file_ident) for e in found.entries] == [
        (2, 10, 3)
    ]
    assert found.origins == {2, 3}


def test_own_changes_that_became_empty_move_the_cursor_too() -> None:
    assert scan(log((2, 0), (3, 0)), START, 2, 1000).cursor == (2, 10)


def test_empty_changes_of_others_are_not_sent_and_the_server_is_number_one() -> None:
    found = scan(log((3, 0), (0, 5)), START, 2, 1000)
    assert [entry.origin_file_ident for entry in found.entries] == [1]


def test_messages_end_at_fixed_places_wherever_they_start() -> None:
    entries = log(*[(3, 30)] * 20)
    ends = set()
    for start in range(20):
        found = scan(entries[start:], DownloadCursor(start, 0), 2, 100)
        ends.add((found.cursor.server_version, found.is_complete))
    assert ends == {(4, True), (7, True), (10, True), (14, True), (17, True), (20, True)}


def test_a_message_has_something_in_it_or_ends_the_log() -> None:
    entries = log(*[(2, 100)] * 5, (3, 1), (2, 100))
    found = scan(entries, START, 2, 100)
    assert len(found.entries) == 1
    assert not scan(entries[:5], START, 2, 100).entries
    assert scan(entries[:5], START, 2, 100).cursor.server_version == 5


def test_who_may_share() -> None:
    entries = log((3, 60), (4, 60), (3, 10))
    complete = encode_chunk(scan(entries, START, 2, 100))
    assert complete.serves(2, 3)
    assert complete.serves(5, 9)
    assert not complete.serves(4, 9), "some of it is its own"
    personal = encode_chunk(scan(entries, START, 3, 100))
    assert not personal.serves(2, 3), "what its reader wrote is missing"
    open_ended = encode_chunk(scan(entries[2:], DownloadCursor(2, 0), 2, 100))
    assert open_ended.serves(2, 3)
    assert not open_ended.serves(2, 4), "by now there is more to send along"
    assert encode_chunk(scan([], START, 2, 100)).body is EMPTY_BODY


@given(
    sizes=st.lists(st.tuples(st.integers(2, 4), st.integers(0, 60)), max_size=40),
    ident=st.integers(2, 4),
    limit=st.integers(1, 150),
)
def test_message_by_message_a_client_gets_everything_once(sizes: list[tuple[int, int]], ident: int, limit: int) -> None:
    entries = log(*sizes)
    tail = Tail(10**6)
    tail.extend(entries)
    cursor, received = START, []
    while cursor.server_version < len(entries):
        stretch = tail.stretch(cursor.server_version, limit)
        assert stretch is not None
        found = scan(stretch, cursor, ident, limit)
        assert found.cursor.server_version > cursor.server_version
        cursor = found.cursor
        received += [entry.server_version for entry in found.entries]
    assert received == [e.version for e in entries if e.origin != ident and e.changeset]


def test_a_tail_forgets_the_oldest_and_has_no_gaps() -> None:
    entries = log(*[(3, 40)] * 6)
    cost = 40 + 250
    tail = Tail(3 * cost)
    assert tail.stretch(0, 1000) is None
    tail.extend(entries[:4])
    assert tail.size == 2 * cost
    assert tail.stretch(1, 1000) is None
    assert [entry.version for entry in tail.stretch(2, 1000) or []] == [3, 4]
    assert tail.stretch(4, 1000) is None
    tail.extend(entries[5:])
    assert tail.newest == 6
    assert tail.stretch(4, 1000) is None
    assert tail.stretch(5, 1000) == entries[5:]


def test_a_cache_keeps_to_its_budget() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert cache.get("b") is None
    assert cache.get("a") == 1
    cache.put("a", 5, 2)
    assert (cache.get("a"), cache.cost, len(cache)) == (5, 6, 2)
    cache.put("a", 6, 11)
    assert cache.get("a") is None
    cache.discard("c")
    cache.discard("c")
    assert cache.cost == 0


def test_own_changes_ahead_are_counted_until_the_downloads_have_passed_them() -> None:
    own = OwnChanges()
    own.add(3, 10)
    own.add(5, 7)
    assert [own.left_after(version) for version in (0, 2, 3, 4, 5, 9)] == [17, 17, 7, 7, 0, 0]


def test_own_changes_that_were_unknown_come_before_those_added_since() -> None:
    own = OwnChanges(unknown_up_to=4)
    own.add(6, 1)
    own.learn([(2, 100), (4, 20)])
    own.learn([(2, 100), (4, 20)])
    assert own.unknown_up_to == 0
    assert [own.left_after(version) for version in (1, 2, 4, 6)] == [121, 21, 1, 0]
    passed = OwnChanges(unknown_up_to=4)
    assert passed.left_after(4) == 0
    assert passed.unknown_up_to == 0
