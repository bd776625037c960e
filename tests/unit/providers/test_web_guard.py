"""Which addresses are of the open internet."""

from ipaddress import ip_address

import pytest

from protocol.errors import Refused
from providers.web.guard import Guard, is_public, system_resolve

NOT_PUBLIC = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
    *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a00:1"),
    *("64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1"),
    *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:10.0.0.1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "fec0::1", "ff02::1"),
)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_leads_inwards_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700::1111"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_one_private_address_among_the_answers_refuses_them_all() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.1"]

    with pytest.raises(Refused, match=r"'example.org' is at 10.0.0.1, which is not a public address"):
        await Guard(resolve=resolve).address("example.org", 443)


async def test_a_scoped_address_and_an_empty_answer_are_refused() -> None:
    answers = {"scoped": ["fe80::1%eth0"], "empty": list[str]()}

    async def resolve(host: str, port: int) -> list[str]:
        return answers[host]

    guard = Guard(resolve=resolve)
    for host in answers:
        with pytest.raises(Refused):
            await guard.address(host, 80)


async def test_a_listed_pair_of_host_and_port_may_lie_anywhere_and_no_other() -> None:
    guard = Guard(["localhost:8080"])
    assert await guard.address("localhost", 8080) in ("127.0.0.1", "::1")
    with pytest.raises(Refused):
        await guard.address("localhost", 8081)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
async def test_an_address_is_its_own_answer(address: str) -> None:
    assert await system_resolve(address, 443) == [address]
