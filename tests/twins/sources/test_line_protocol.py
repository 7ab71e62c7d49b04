"""Line protocol: what a line says, by its grammar and by arithmetic alike, and what is refused where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from twins.exceptions import MalformedBody
from twins.sources import MAX_ROWS, compile_loop, decode_lines, line_protocol, parse_series
from twins.sources.one_line import LineError, parse_line

from .tables import table_of

NOW = 1_767_225_600_000_000


@pytest.fixture(scope="module", autouse=True)
def loop() -> None:
    compile_loop()


def rows(body: str, precision: str = "us") -> list[tuple[str, int, float]]:
    table = table_of(decode_lines(body.encode(), precision=precision, now=NOW))
    times = table["time"].cast("int64").to_pylist()
    return list(zip(table["sensor"].to_pylist(), times, table["value"].to_pylist(), strict=True))


def reasons(body: str) -> dict[int, str]:
    return {one.index: one.reason for one in decode_lines(body.encode(), now=NOW).rejects.listed}


def test_every_number_of_a_line_is_a_reading_at_its_time() -> None:
    assert rows("pump,asset=P-1 flow=1.5,speed=1480i,on=t 7\npump,asset=P-2 flow=-2e3 8\n") == [
        ("pump,asset=P-1 flow", 7, 1.5),
        ("pump,asset=P-1 speed", 7, 1480.0),
        ("pump,asset=P-1 on", 7, 1.0),
        ("pump,asset=P-2 flow", 8, -2000.0),
    ]


@pytest.mark.parametrize(
    ("precision", "text", "microseconds"),
    [
        ("ns", "1767225600123456789", 1_767_225_600_123_456),
        ("us", "1767225600123456", 1_767_225_600_123_456),
        ("u", "5", 5),
        ("ms", "1767225600123", 1_767_225_600_123_000),
        ("s", "1767225600", 1_767_225_600_000_000),
        ("m", "2", 120_000_000),
        ("h", "1", 3_600_000_000),
        ("ns", "-1001", -2),
    ],
)
def test_a_time_counts_in_the_unit_of_the_request(precision: str, text: str, microseconds: int) -> None:
    assert rows(f"m f=1 {text}", precision) == [("m f", microseconds, 1.0)]


def test_lines_without_a_time_have_the_one_of_the_request() -> None:
    assert rows("m f=1\nm,a=b g=2,h=3\n\nm f=4 9") == [
        ("m f", NOW, 1.0), ("m,a=b g", NOW, 2.0), ("m,a=b h", NOW, 3.0), ("m f", 9, 4.0),
    ]  # fmt: skip


def test_names_with_escapes_slashes_and_dots_are_names() -> None:
    name = r"my\ plant/hall\,1,a.b=c\=d\ e x/y.z"
    assert rows(name + "=1 5\n") == [(name, 5, 1.0)]
    series = parse_series(name)
    assert (series.measurement, series.tags, series.field) == ("my plant/hall,1", {"a.b": "c=d e"}, "x/y.z")


def test_texts_beside_numbers_are_left_out_and_comments_count_for_nothing() -> None:
    body = '# Telegraf\nsystem,host=a load1=0.5,uptime_format="1 day, 2:03",n=3i 5\r\n'
    assert rows(body) == [("system,host=a load1", 5, 0.5), ("system,host=a n", 5, 3.0)]
    assert reasons(r'm text="a \"b\" c"') == {0: "has no number, only text"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"m,a={'b' * 1000} f=1", "1006 bytes, more than 1000"),
        ("m", "has no fields"),
        ("m ", "has no field=value"),
        (",a=b f=1", "has no measurement"),
        (" m f=1", "has no measurement"),
        ("m,a f=1", "has no fields: a space was expected at character 2"),
        ("m,a= f=1", "has no fields"),
        ("m f=", "has no field=value at character 3"),
        ("m =1", "has no field=value"),
        ("m f=x", "has the value 'x'"),
        ("m f=0x10", "has the value '0x10'"),
        ("m f=1.5i", "has the value '1.5i'"),
        ("m f=-1u", "has the value '-1u'"),
        ("m f=nan", "has the value 'nan'"),
        ("m f=inf", "has the value 'inf'"),
        ("m f=1,", "has no field=value"),
        ("m f=1 x", "'x' at character 6 where its time"),
        ("m f=1 0x10", "'0x10' at character 6 where its time"),
        ("m f=1 1.5", "where its time"),
        ("m f=1 5 6", "where its time"),
        ('m f="open', "has no field=value"),
        ("m f=1 9223372036854775807", "has no time between"),
    ],
)
def test_a_line_that_is_none_is_refused_by_its_number_and_stops_no_other(line: str, reason: str) -> None:
    decoded = decode_lines(f"m f=1 5\n{line}\nm f=2 6\n".encode(), precision="s", now=NOW)
    assert table_of(decoded)["value"].to_pylist() == [1.0, 2.0]
    assert decoded.places is not None and decoded.places.tolist() == [0, 2]
    assert [(one.index, one.content) for one in decoded.rejects.listed] == [(1, line)]
    assert reason in decoded.rejects.listed[0].reason


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "holds no reading"),
        (b"\n\n# nothing\n", "holds no reading"),
        (b"m f=1\nm\xff f=2", "not UTF-8: byte 7"),
        (b"m f=1\n" * (MAX_ROWS + 1), f"more than {MAX_ROWS}"),
        (b",=" * 2_000_000, "too many tags"),
    ],
)
def test_a_body_that_is_no_lines_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(MalformedBody, match=message):
        decode_lines(body, now=NOW)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(MalformedBody, match="'days' is unknown"):
        decode_lines(b"m f=1", precision="days", now=NOW)


_word = st.text(st.sampled_from("ab,= \\\"'#0.é/"), min_size=1, max_size=4)
_value = st.one_of(
    st.floats().map(repr), st.integers(-(10**20), 10**20).map("{}i".format), _word,
    st.sampled_from(["t", "false", "5u", '"a b"', "1e400", "+1", ".5", "5.", "0x10", "1_0", "١"]),
)  # fmt: skip
_line = st.one_of(
    st.builds(
        lambda series, fields, time: f"{series} {','.join(f'{name}={value}' for name, value in fields)}{time}",
        st.one_of(st.sampled_from(["m", "m,a=b", "m,a=b,c=d"]), _word),
        st.lists(st.tuples(st.one_of(st.just("f"), _word), _value), min_size=1, max_size=3),
        st.one_of(st.just(""), st.integers(-(10**19), 10**19).map(" {}".format), st.sampled_from([" ", "  5", " x"])),
    ),
    _word,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(_line, max_size=5), st.integers(1, 3))
@example(["m f=1", "m f=1,g=2"], 1)
@example(["m f=5i", "m f=5.5i", "m f=nan 5"], 1)
@example(["m f=1,g=2", "m f=3,g=4", "m f=1,g=2,h=3", "m f=1", "m f=1,h=2", "m f=1,g=2 x", "m f=1,g=", "m f=1,"], 3)
@example(["m f=1", "m,a=b f=1", "m ff=1", "m f=1 5", "mm f=1,g=2", "m,a=b,c f=1"], 2)
def test_many_lines_are_read_as_one_line_is(lines: list[str], times: int) -> None:
    lines *= times  # as names come again
    expected: list[Any] = []
    refused = []
    for number, text in enumerate(lines):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        try:
            line = parse_line(text)
        except LineError:
            refused.append(number)
            continue
        time = NOW if line.time is None else line.time
        if abs(time) > 10**17:
            refused += [number] * len(line.fields)
        else:
            expected += [(number, f"{line.series} {field}", time, value) for field, value in line.fields]
    try:
        decoded = decode_lines("\n".join(lines).encode(), precision="us", now=NOW)
    except MalformedBody:
        assert (expected, refused) == ([], [])
        return
    table = table_of(decoded)
    found = zip(
        range(table.num_rows), table["sensor"].to_pylist(), table["time"].cast("int64").to_pylist(),
        table["value"].to_pylist(), strict=True,
    )  # fmt: skip
    assert [(decoded.place(row), *rest) for row, *rest in found] == expected
    assert [one.index for one in decoded.rejects.listed] == refused


def test_lines_are_read_by_the_whole_grammar_until_the_loop_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "m,a=b f=1.5,g=2i 7\nm f=0.1 8"
    found = rows(body)
    monkeypatch.setattr(line_protocol, "_loop", Compiling())
    assert found == rows(body) == [("m,a=b f", 7, 1.5), ("m,a=b g", 7, 2.0), ("m f", 8, 0.1)]


class Compiling:
    def ready(self) -> None:
        return None


def test_a_name_is_kept_once_however_many_lines_have_it() -> None:
    decoded = decode_lines(b"".join(b"m,a=%d f=%d,g=2\n" % (n % 7, n) for n in range(1000)), now=NOW)
    assert decoded.names.to_pylist() == [f"m,a={n} {field}" for n in range(7) for field in "fg"]
    assert decoded.readings.sensor.tolist() == [2 * (n % 7) + second for n in range(1000) for second in (0, 1)]


def test_names_that_differ_in_one_byte_are_two_wherever_it_is() -> None:
    """However many bytes are compared at once."""
    series = ["m" * length for length in range(1, 20)]
    names = [f"{one} {'f' * length}" for one in series for length in range(1, 20)]
    names += [f"{name[:at]}x{name[at + 1 :]}" for name in names for at in range(len(name)) if name[at] != " "]
    body = "".join(f"{name}={number} 5\n" for number, name in enumerate(names)).encode()
    decoded = decode_lines(2 * body, now=NOW)
    assert decoded.names.to_pylist() == list(dict.fromkeys(names))
    once = [decoded.names[code].as_py() for code in decoded.readings.sensor[: len(names)].tolist()]
    assert once == names
    assert (decoded.readings.sensor[len(names) :] == decoded.readings.sensor[: len(names)]).all()


def test_a_name_of_a_line_that_is_refused_is_none() -> None:
    assert decode_lines(b"m f=1\nnew f=1,g=2 x\nm f=2", now=NOW).names.to_pylist() == ["m f"]


@given(
    st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**19), 10**19)), min_size=1)
)
def test_a_number_is_the_nearest_there_is(numbers: list[float]) -> None:
    texts = [form(number) for number in numbers for form in (repr, "{:.3f}".format, "{:+}".format, "{:.17g}".format)]
    decoded = decode_lines("\n".join(f"m f={text}" for text in texts).encode(), now=NOW)
    assert decoded.readings.value.tolist() == [float(text) for text in texts]
