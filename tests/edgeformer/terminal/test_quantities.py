import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.errors import InputError
from edgeformer.terminal.quantities import parse_bytes, parse_milliseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12MB", 12_000_000), ("12 MiB", 12 * 2**20), ("1.5kB", 1500), ("7", 7), ("2GB", 2 * 10**9), (".5 KiB", 512)],
)
def test_sizes(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("20ms", 20), ("0.02s", 20), ("20", 20), ("250 us", 0.25)])
def test_durations(text, expected):
    assert parse_milliseconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "0MB", "1e6", "12 apples", "nan", "12MB3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="size"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["", "0", "5 min", "-3ms"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputError, match="duration"):
        parse_milliseconds(text)


@given(st.integers(1, 10**12))
def test_plain_bytes_come_back(count):
    assert parse_bytes(str(count)) == count
