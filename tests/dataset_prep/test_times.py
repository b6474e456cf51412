"""Times by hand: dates, seconds, milliseconds, and what is none of them."""

import pytest

from dataset_prep.records import BadRecordError
from dataset_prep.times import detect, seconds


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("0", "seconds", 0),
        ("1400000000", "seconds", 1.4e9),
        ("1400000000.5", "seconds", 1400000000.5),
        ("1.4e9", "seconds", 1.4e9),
        ("1400000000000", "milliseconds", 1.4e9),
        ("1970-01-02", "dates", 86400),
        ("19700102", "dates", 86400),
        ("197001020001", "dates", 86460),
        ("20240101100000", "dates", 1704103200),
        ("1970-01-01T00:00:10Z", "dates", 10),
        ("1970-01-01 02:00:10+02:00", "dates", 10),
        ("2012-04-26 23:56:23.947", "dates", 1335484583.947),
    ],
)
def test_each_kind(text, kind, expected):
    assert detect(["", "no", text]) == kind
    assert seconds(f" {text} ", kind) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["", "now", "01/31/2024", "-5", "1e15", "nan", "1_000", "²", "٣", "20241301100000"])
def test_no_time(text):
    assert detect([text]) is None


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("", "dates", "no time"),
        ("-5", "seconds", "the time '-5' is negative; legal are times from 1970 on"),
        ("-5", "dates", "the time '-5' is negative"),
        ("1969-12-31", "dates", "the time '1969-12-31' is before 1970"),
        ("1400000000000", "seconds", "is not of the unix times in seconds that the first one is of"),
        ("1400000000", "milliseconds", "is not of the unix times in milliseconds"),
        ("31.1.2024", "dates", "is not of the dates of ISO 8601, UTC unless they say otherwise"),
    ],
)
def test_a_time_that_cannot_be_used(text, kind, problem):
    with pytest.raises(BadRecordError) as error:
        seconds(text, kind)
    assert problem in str(error.value)
