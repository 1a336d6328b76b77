from ipaddress import ip_address

import pytest
from tests.alerts.notifiers.http_peer import Peer

from bartizan.alerts.notifiers.addresses import Address, allowed_addresses, may_reach
from bartizan.alerts.notifiers.dialing import Dialer
from bartizan.alerts.notifiers.http import HttpClient, target_of
from bartizan.plugins.notification import NotifyError, Permanent, Retryable

PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
PRIVATE = [
    "127.0.0.1", "127.8.9.1", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "100.64.0.1", "fd12::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
    "2002:a00:1::", "198.18.0.1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "::", "169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254",
    "168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1", "ff02::1", "240.0.0.1",
    "255.255.255.255", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
    "::169.254.169.254",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert may_reach(ip_address(address), allow_private=False)
    assert may_reach(ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not may_reach(ip_address(address), allow_private=False)
    assert may_reach(ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_addresses_that_are_never_reached(address: str) -> None:
    assert not may_reach(ip_address(address), allow_private=False)
    assert not may_reach(ip_address(address), allow_private=True)


async def found(addresses: list[str], *, allow_private: bool = False) -> list[Address]:
    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    return await allowed_addresses("x", 1, allow_private=allow_private, resolve=resolve)


async def test_only_what_was_checked_is_left() -> None:
    assert await found(["10.0.0.1", "1.1.1.1", "::1"]) == [ip_address("1.1.1.1")]


async def test_names_that_lead_inside_are_refused() -> None:
    with pytest.raises(Permanent) as raised:
        await found(["10.0.0.1", "fe80::1%eth0"])
    assert "10.0" not in str(raised.value)


@pytest.mark.parametrize("addresses", [[], ["nonsense"]])
async def test_names_without_an_address(addresses: list[str]) -> None:
    with pytest.raises(Retryable):
        await found(addresses)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f.1", "2130706433", "[::1]"])
async def test_however_this_machine_is_written(peer: Peer, host: str) -> None:
    client = HttpClient(Dialer(), 30.0)
    with pytest.raises(NotifyError):
        await client.post(target_of(f"http://{host}:{peer.port}", allow_plain=True), {}, b"")
    assert not peer.requests


async def test_the_checked_address_is_the_one_connected_to(peer: Peer) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    client = HttpClient(Dialer(allow_private=True, resolve=resolve), 30.0)
    target = target_of(f"http://rebinding.example:{peer.port}", allow_plain=True)
    assert (await client.post(target, {}, b"")).status == 200
    assert asked == ["rebinding.example"]
    with pytest.raises(Permanent):
        await client.post(target, {}, b"")


async def test_the_next_address_is_tried(peer: Peer) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    client = HttpClient(Dialer(allow_private=True, resolve=resolve), 30.0)
    target = target_of(f"http://two.example:{peer.port}", allow_plain=True)
    assert (await client.post(target, {}, b"")).status == 200
