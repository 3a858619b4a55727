from syncline.server.rate_limits import FailureDelays, RateLimit, client_address


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    limit = RateLimit(2, 60, clock=clock)
    assert [limit.take("a"), limit.take("a")] == [0, 0]
    assert limit.take("a") == 30
    assert limit.take("b") == 0
    clock.now += 30
    assert limit.take("a") == 0
    assert limit.take("a") > 0


def test_a_burst_can_be_larger_than_the_rate() -> None:
    limit = RateLimit(1, 60, burst=3, clock=Clock())
    assert [limit.take("a") == 0 for _ in range(4)] == [True, True, True, False]


def test_waits_grow_with_failures_and_end_with_success() -> None:
    clock = Clock()
    delays = FailureDelays(2, clock=clock)
    delays.failed("ann", "10.0.0.1")
    assert delays.wait("ann", "10.0.0.1") == 0
    delays.failed("ann", "10.0.0.1")
    assert delays.wait("ann", "10.0.0.1") == 1
    delays.failed("ann", "10.0.0.1")
    assert delays.wait("ann", "10.0.0.1") == 2
    assert delays.wait("ann", "10.0.0.2") == 0, "nobody locks out somebody else"
    clock.now += 2
    assert delays.wait("ann", "10.0.0.1") == 0
    delays.succeeded("ann", "10.0.0.1")
    delays.failed("ann", "10.0.0.1")
    assert delays.wait("ann", "10.0.0.1") == 0


def test_waits_have_an_end_and_old_failures_are_forgotten() -> None:
    clock = Clock()
    delays = FailureDelays(0, clock=clock)
    for _ in range(50):
        delays.failed("ann", "x")
    assert delays.wait("ann", "x") == 15 * 60
    clock.now += 3600
    delays.failed("ann", "x")
    assert delays.wait("ann", "x") == 2


def test_addresses_are_counted_by_network() -> None:
    assert client_address("10.1.2.3") == "10.1.2.3"
    assert client_address("2001:db8::1") == client_address("2001:db8::ffff") == "2001:db8::/64"
    assert client_address("::ffff:10.1.2.3") == "10.1.2.3"
    assert client_address("testclient") == "testclient"
    assert client_address(None) == "unknown"


def test_the_client_behind_proxies_is_where_the_first_of_them_wrote_it() -> None:
    forwarded = "6.6.6.6, 10.0.0.7, 172.16.0.1"
    assert client_address("127.0.0.1", forwarded) == "127.0.0.1"
    assert client_address("127.0.0.1", forwarded, proxies=1) == "172.16.0.1"
    assert client_address("127.0.0.1", forwarded, proxies=2) == "10.0.0.7"
    assert client_address("127.0.0.1", "9.9.9.9", proxies=2) == "9.9.9.9"
    assert client_address("127.0.0.1", "", proxies=1) == "127.0.0.1"
