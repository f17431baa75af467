"""Addresses: every form reads and prints back; nothing becomes an option of ssh or adb; no password is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_devices.emulation import BOARDS, board
from edgeformer_devices.profile import names
from edgeformer_devices.remote.address import Address, parse_address
from edgeformer_runtime.errors import InputError, TargetError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", Address("local")),
        ("ssh://pi", Address("ssh", "pi")),
        ("ssh://pi@raspberrypi.local", Address("ssh", "raspberrypi.local", "pi")),
        ("ssh://pi@10.0.0.7:2222", Address("ssh", "10.0.0.7", "pi", 2222)),
        ("ssh://pi@[fe80::1%eth0]:22", Address("ssh", "fe80::1%eth0", "pi", 22)),
        ("adb://0123456789ABCDEF", Address("adb", "0123456789ABCDEF")),
        ("adb://192.168.1.5:5555", Address("adb", "192.168.1.5:5555")),
        ("emulated://raspberry-pi-4", Address("emulated", "raspberry-pi-4")),
        ("emulated://raspberry-pi-5?python=3.13", Address("emulated", "raspberry-pi-5", python="3.13")),
    ],
)
def test_every_form_is_read_and_printed_back(text, address):
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "pi@host", "ftp://host", "ssh://", "ssh://-oProxyCommand=touch", "ssh://-l@host", "ssh://pi@-host",
        "ssh://[", "ssh://a b", "ssh://host:port",
        "ssh://host:99999", "ssh://host/path", "ssh://host?x=1", "ssh://ho;st", "ssh://$(id)@host",
        "adb://", "adb://-s", "adb://a b", "adb://a;b", "emulated://", "emulated://raspberry-pi-4?cpu=max", "LOCAL",
        "emulated://raspberry-pi-4/x", "emulated://raspberry-pi-4?python=3.13&python=3.11", "ssh://ho\nst",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match="--on"):
        parse_address(text)


@pytest.mark.parametrize("port", ["99999", "65536", "0", "abc", "-1", "", "22x", "\u0662\u0662"])
@pytest.mark.parametrize("host", ["pi@host", "[fe80::1]"])
def test_a_wrong_port_is_named_as_what_is_wrong(host, port):
    with pytest.raises(InputError) as caught:
        parse_address(f"ssh://{host}:{port}")
    assert f"port {port!r}: expected a number from 1 to 65535" in str(caught.value)


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(InputError, match="ssh-copy-id") as caught:
        parse_address("ssh://pi:raspberry@host")
    assert "raspberry" not in str(caught.value)


@given(st.text(max_size=40))
def test_only_our_own_error_leaves_the_parser_and_no_host_is_an_option(rest):
    for scheme in ("ssh", "adb", "emulated"):
        try:
            address = parse_address(f"{scheme}://{rest}")
        except InputError:
            continue
        assert not address.host.startswith("-")
        assert address.user is None or not address.user.startswith("-")


def test_boards_that_are_emulated_have_profiles():
    assert set(BOARDS) <= set(names())
    assert board("raspberry-pi-4").cpu == "cortex-a72"
    assert board("raspberry-pi-5").cpu == "cortex-a76"
    assert board("jetson-orin-nano").cpu == "cortex-a78ae"


def test_a_board_that_is_not_is_named_with_those_that_are():
    with pytest.raises(TargetError, match="did you mean raspberry-pi-4"):
        board("rasberry-pi-4")
    with pytest.raises(TargetError, match="jetson-orin-nano"):
        board("jetson-nano-2019")
