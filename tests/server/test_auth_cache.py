from datetime import timedelta

from tests.server.admin_support import Clock, stranger

from bartizan.server.auth_cache import MAX_UNKNOWN, KeyCache, Known

DIGEST = b"d" * 32


def known(clock: Clock, key_id: int = 1) -> Known:
    return Known(stranger(key_id), None, clock.now)


def test_a_holder_is_remembered_for_five_seconds() -> None:
    cache, clock = KeyCache(), Clock()
    cache.put(DIGEST, known(clock))
    assert cache.get(DIGEST, clock.now + timedelta(seconds=4.9))
    assert cache.get(DIGEST, clock.now + timedelta(seconds=5)) is None


def test_a_clock_set_back_makes_nothing_last_longer() -> None:
    cache, clock = KeyCache(), Clock()
    cache.put(DIGEST, known(clock))
    cache.put_unknown(b"x", clock.now)
    earlier = clock.now - timedelta(hours=1)
    assert cache.get(DIGEST, earlier) is None
    assert not cache.is_unknown(b"x", earlier)


def test_wrong_keys_are_remembered_for_a_second() -> None:
    cache, clock = KeyCache(), Clock()
    cache.put_unknown(DIGEST, clock.now)
    assert cache.is_unknown(DIGEST, clock.now + timedelta(seconds=0.9))
    assert not cache.is_unknown(DIGEST, clock.now + timedelta(seconds=1))


def test_the_memory_of_wrong_keys_is_bounded_and_drops_the_oldest() -> None:
    cache, clock = KeyCache(), Clock()
    digests = [number.to_bytes(32) for number in range(MAX_UNKNOWN + 1)]
    for digest in digests:
        cache.put_unknown(digest, clock.now)
    remembered = [cache.is_unknown(digest, clock.now) for digest in digests]
    assert remembered == [False] + [True] * MAX_UNKNOWN


def test_stale_holders_are_dropped_and_fresh_ones_kept() -> None:
    cache, clock = KeyCache(), Clock()
    cache.put(b"old", known(clock, 1))
    later = clock.now + timedelta(seconds=5)
    cache.put(b"new", Known(stranger(2), None, later))
    cache.drop_stale(later)
    assert cache.get(b"old", clock.now) is None
    assert cache.get(b"new", later)


def test_a_key_and_a_project_are_forgotten_alone() -> None:
    cache, clock = KeyCache(), Clock()
    cache.put(b"1", known(clock, 1))
    cache.put(b"2", known(clock, 2))
    cache.drop_key(1)
    assert (cache.get(b"1", clock.now), bool(cache.get(b"2", clock.now))) == (None, True)
    cache.drop_project(0)
    assert cache.get(b"2", clock.now) is None
