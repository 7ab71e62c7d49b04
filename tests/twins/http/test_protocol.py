"""A connection that knows the head of its next request: every answer, and all that is kept, is as before."""

from __future__ import annotations

import logging
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.twins.http.gateways import ARROW, Gateway, key_is_taken, until, waiting
from tests.twins.http.servers import a_server, a_thread, port_of
from tests.waiting import PATIENCE
from twins import lake
from twins.http import guard, ingest, protocol
from twins.http.protocol import KnowingProtocol
from twins.models import Batch
from twins.models.access import ApiToken
from twins.services import pressure
from twins.services.tokens import create_token, revoke_token

PLAIN = "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol"


class Machine:
    """One kept connection, and what is sent and answered on it byte by byte."""

    def __init__(self, port: int, token: str, content: Callable[..., bytes]) -> None:
        self.line = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.token, self.content = token, content
        self.unread = b""

    def request(self, value: float, key: str | None = None, *, rows: int = 3) -> bytes:
        return self.of(self.content(value, rows=rows), key)

    def of(self, body: bytes, key: str | None = None) -> bytes:
        named = f"Idempotency-Key: {key}\r\n" if key else ""
        return (
            f"POST /ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: {ARROW}\r\n{named}Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def ask(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        for piece in pieces:
            self.line.sendall(piece)
            time.sleep(pause)
        return self.answer()

    def answer(self) -> bytes:
        """The next answer whole; what there is when the server hangs up before."""
        while not (found := re.match(rb".*?content-length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n", self.unread, re.DOTALL)):
            if not self._read():
                return self._cut(len(self.unread))
        size = found.end() + int(found[1])
        while len(self.unread) < size and self._read():
            pass
        return self._cut(size)

    def all_that_comes(self) -> bytes:
        """Until the server hangs up or is silent."""
        self._read()
        while select.select([self.line], [], [], 0.05)[0] and self._read():
            pass
        return self._cut(len(self.unread))

    def is_over(self) -> bool:
        """Whether the server hangs up, and said no more before."""
        return self.unread == b"" and self.line.recv(1) == b""

    def _read(self) -> bytes:
        piece = self.line.recv(65536)
        self.unread += piece
        return piece

    def _cut(self, size: int) -> bytes:
        answer, self.unread = self.unread[:size], self.unread[size:]
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def same(answer: bytes) -> bytes:
    """Without what is of an instant: the date, and the number of a new batch with its length."""
    if b" 201 " in answer:
        answer = re.sub(rb"content-length: \d+|(?<=\"batch\":)\d+", b"#", answer)
    return re.sub(rb"(?<=\r\ndate: )[^\r]+", b"#", answer)


def values() -> list[float]:
    """The first value of each batch that is kept, in the order of their coming."""
    return [
        lake.decode_body(body)["value"][0].as_py()
        for body in Batch.objects.order_by("pk").values_list("body", flat=True)
    ]


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses that were sent without uvicorn."""
    seen: list[int] = []
    plain = KnowingProtocol._send

    def counted(self: KnowingProtocol, lines: list[bytes], body: bytes, *, closes: bool) -> None:
        seen.append(status(lines[0]))
        plain(self, lines, body, closes=closes)

    monkeypatch.setattr(KnowingProtocol, "_send", counted)
    return seen


def warmed(machine: Machine, straight: list[int]) -> Machine:
    """Sends until the connection knows the heads with and without a key."""
    for key in (None, "warm"):
        straight.clear()
        for number in range(100):
            assert status(machine.ask(machine.request(-1000.0 - number, key and f"{key}{number}"))) == 201
            if straight:
                break
            time.sleep(0.02)
        assert straight
    straight.clear()
    Batch.objects.all().delete()
    return machine


@pytest.fixture
def machine(gateway: Gateway, token: str, straight: list[int]) -> Iterator[Machine]:
    """One whose heads are known."""
    machine = Machine(gateway.client.base_url.port or 0, token, gateway.content)
    with machine.line:
        yield warmed(machine, straight)


@pytest.fixture
def plain(gateway: Gateway, token: str) -> Iterator[Machine]:
    """The same application behind uvicorn as it is."""
    with a_thread(PLAIN) as server:
        machine = Machine(port_of(server), token, gateway.content)
        with machine.line:
            for number in range(100):  # until its event loop has a connection to the database
                before = gateway.by_thread
                assert status(machine.ask(machine.request(-1000.0 - number))) == 201
                if gateway.by_thread == before:
                    break
                time.sleep(0.02)
            Batch.objects.all().delete()
            yield machine


def test_fifty_bodies_under_one_head_are_answered_each_for_itself(machine: Machine, straight: list[int]) -> None:
    for rows in (1, 2, 3, 4, 5, 3, 3):  # a new layout of a body is left to a thread, and the head forgotten
        assert status(machine.ask(machine.request(-1.0, rows=rows))) in (200, 201)
        assert status(machine.ask(machine.request(-1.0, f"w{rows}", rows=rows))) in (200, 201)
    straight.clear()
    Batch.objects.all().delete()
    answers = [
        machine.ask(machine.request(float(number), f"k{number}" if number % 2 else None, rows=1 + number % 5))
        for number in range(50)
    ]
    assert straight == [201] * 50
    kept = dict(Batch.objects.values_list("pk", "rows"))
    said = [re.search(rb'"batch":(\d+),"accepted":(\d+)', answer) for answer in answers]
    assert [(int(one[1]), int(one[2])) for one in said if one] == sorted(kept.items())
    assert [rows for _, rows in sorted(kept.items())] == [1 + number % 5 for number in range(50)]
    assert values() == [float(number) for number in range(50)]
    assert list(Batch.objects.exclude(key="").order_by("pk").values_list("key", flat=True))[-1] == "k49"


def test_a_request_may_come_in_any_two_pieces(machine: Machine, straight: list[int]) -> None:
    request = machine.request(0.0)
    end = request.index(b"\r\n\r\n") + 4
    cuts = sorted({*range(1, len(request), 23), *range(end - 4, end + 3), len(request) - 1})
    for number, cut in enumerate(cuts):
        request = machine.request(float(number))
        assert status(machine.ask(request[:cut], request[cut:], pause=0.002)) == 201, cut
    assert values() == [float(number) for number in range(len(cuts))]
    assert len(straight) >= sum(cut >= end for cut in cuts)  # two pieces may still come as one


def test_a_request_may_come_byte_by_byte(machine: Machine, straight: list[int]) -> None:
    request = machine.request(1.0)
    assert status(machine.ask(*(request[at : at + 1] for at in range(len(request))))) == 201
    assert values() == [1.0]


def test_a_body_that_lingers_is_waited_for_by_the_application(
    machine: Machine, straight: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_PATIENCE", 0.05)
    request = machine.request(1.0)
    assert status(machine.ask(request[:-20], request[-20:-10], request[-10:], pause=0.2)) == 201
    assert (straight, values()) == ([], [1.0])
    assert status(machine.ask(machine.request(2.0))) == 201
    assert straight == [201]


@pytest.mark.parametrize("many", [2, 3])
def test_requests_of_one_packet_are_answered_in_their_order(machine: Machine, straight: list[int], many: int) -> None:
    machine.line.sendall(b"".join(machine.request(float(number)) for number in range(many)))
    assert [status(machine.answer()) for _ in range(many)] == [201] * many
    assert values() == [float(number) for number in range(many)]
    assert status(machine.ask(machine.request(9.0))) == 201
    assert straight == [201]


@pytest.mark.parametrize("cut", [0, 1, 50, -100])
def test_what_comes_while_one_is_answered_waits_its_turn(machine: Machine, cut: int) -> None:
    second, third = machine.request(2.0), machine.request(3.0)
    with key_is_taken("k"):
        machine.line.sendall(machine.request(1.0, "k"))
        until(waiting)
        machine.line.sendall(second + third[:cut])
        time.sleep(0.05)
        machine.line.sendall(third[cut:])
        time.sleep(0.05)
        assert not Batch.objects.exists()
    assert [status(machine.answer()) for _ in range(3)] == [201] * 3
    assert values() == [1.0, 2.0, 3.0]


def test_a_machine_that_goes_away_meanwhile_is_kept_once(
    machine: Machine, gateway: Gateway, straight: list[int]
) -> None:
    with key_is_taken("k"):
        machine.line.sendall(machine.request(1.0, "k") + machine.request(5.0)[:40])
        until(waiting)
        machine.line.close()
        time.sleep(0.1)  # the server hears of it
    until(lambda: not waiting())
    until(Batch.objects.exists)
    assert straight == []
    again = gateway.send(1.0, "k")
    assert (again.status_code, again.json()["repeated"], values()) == (200, True, [1.0])


def test_a_machine_that_goes_away_in_a_body_leaves_nothing(
    machine: Machine, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    machine.line.sendall(machine.request(1.0)[:-10])
    time.sleep(0.05)
    machine.line.close()
    assert gateway.send(2.0).status_code == 201
    assert values() == [2.0]
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_server_that_ends_answers_what_is_in_flight_first(gateway: Gateway, token: str, straight: list[int]) -> None:
    with a_thread() as server:
        machine, idle, half = (Machine(port_of(server), token, gateway.content) for _ in range(3))
        for one in (machine, idle, half):
            warmed(one, straight)
        request = half.request(2.0)
        half.line.sendall(request[:-10])
        with key_is_taken("k"):
            machine.line.sendall(machine.request(1.0, "k"))
            until(waiting)
            server.should_exit = True
            assert idle.is_over()
            assert not machine.unread
        answers = [machine.answer(), half.ask(request[-10:])]
        assert [status(answer) for answer in answers] == [201, 201]
        assert all(b"\r\nconnection: close\r\n\r\n" in answer for answer in answers)
        assert machine.is_over()
        assert half.is_over()
    assert straight == [201]
    assert sorted(values()) == [1.0, 2.0]


@pytest.mark.full
def test_a_process_that_is_told_to_end_answers_what_is_in_flight_first(
    token: str, content: Callable[..., bytes], tmp_path: Path
) -> None:
    with a_server(tmp_path, token) as (client, process):
        machine = Machine(client.base_url.port or 0, token, content)
        for number in range(30):  # by now its event loop knows the layout, and the connection both heads
            assert status(machine.ask(machine.request(-1000.0 - number, f"{number}"))) == 201
            time.sleep(0.03)
        Batch.objects.all().delete()
        with key_is_taken("k"):
            machine.line.sendall(machine.request(1.0, "k"))
            until(waiting)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        answer = machine.answer()
        assert (status(answer), machine.is_over()) == (201, True)
        process.wait(PATIENCE)
    said = (tmp_path / "log").read_text()
    assert ("Finished server process" in said, "Cancel" in said, "Traceback" in said) == (True, False, False)
    assert values() == [1.0]


def test_the_time_of_a_kept_connection_and_the_number_of_requests_are_counted_on(
    gateway: Gateway, token: str, straight: list[int]
) -> None:
    with a_thread(timeout_keep_alive=1) as server:
        machine = warmed(Machine(port_of(server), token, gateway.content), straight)
        before = server.server_state.total_requests
        for number in range(3):
            time.sleep(0.4)
            assert status(machine.ask(machine.request(float(number)))) == 201
        assert server.server_state.total_requests == before + 3
        started = time.monotonic()
        assert machine.is_over()
        assert 0.9 < time.monotonic() - started < 5
    assert straight == [201] * 3


def test_who_logs_each_request_has_each_from_uvicorn(
    gateway: Gateway, token: str, straight: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "hasHandlers", lambda: True)
    machine = Machine(gateway.client.base_url.port or 0, token, gateway.content)
    assert [status(machine.ask(machine.request(float(number)))) for number in range(5)] == [201] * 5
    assert straight == []


Both = Callable[..., bytes]


@pytest.fixture
def both(machine: Machine, plain: Machine, straight: list[int]) -> Both:
    """The answer to a request on a connection that knows its head, which is the one of uvicorn byte by byte."""

    def ask(request: bytes, expected: int, other: bytes | None = None, *, straightly: bool) -> bytes:
        straight.clear()
        answer = machine.ask(request)
        assert (status(answer), list(straight)) == (expected, [expected] if straightly else [])
        assert same(answer) == same(plain.ask(other or request))
        return answer

    return ask


def test_every_answer_is_the_one_of_uvicorn(machine: Machine, both: Both, settings: Any) -> None:
    # What is new for both is not the same, because the second would be a repeat.
    both(machine.request(1.0), 201, machine.request(-1.0), straightly=True)
    both(machine.request(2.0, "k"), 201, machine.request(-2.0, "p"), straightly=True)
    both(machine.request(2.0, "k"), 200, straightly=True)
    both(machine.request(3.0, "k"), 409, straightly=True)
    both(machine.request(3.0, "k" * 201), 400, straightly=True)
    both(machine.request(float("nan")), 422, straightly=False)
    both(machine.request(4.0), 201, machine.request(-4.0), straightly=False)
    both(machine.of(b"nothing"), 400, straightly=False)
    both(machine.request(5.0), 201, machine.request(-5.0), straightly=False)
    settings.TWINS = {**settings.TWINS, "INGEST_MAX_WAITING": 1}
    pressure.look_again()
    both(machine.request(6.0), 429, straightly=False)
    both(machine.request(6.0), 429, straightly=False)
    assert values() == [1.0, -1.0, 2.0, -2.0, 4.0, -4.0, 5.0, -5.0]


def test_what_changed_between_two_requests_counts(machine: Machine, both: Both, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "INGEST_MAX_BYTES": 100}
    both(machine.request(1.0), 413, straightly=False)
    assert machine.is_over()
    assert values() == []


def test_settings_that_send_elsewhere_count(machine: Machine, both: Both, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True  # for whom Django's middleware is, which has read it before
    both(machine.request(1.0), 201, machine.request(-1.0), straightly=False)
    settings.SECURE_SSL_REDIRECT = False
    both(machine.request(2.0), 201, machine.request(-2.0), straightly=False)
    both(machine.request(3.0), 201, machine.request(-3.0), straightly=True)
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    both(machine.request(4.0), 404, straightly=False)
    assert values() == [1.0, -1.0, 2.0, -2.0, 3.0, -3.0]


@pytest.mark.parametrize(
    ("change", "expected", "known"),
    [(lambda: ApiToken.objects.update(scopes=["read"]), 403, True), (lambda: revoke_token(name="gateway"), 401, False)],
)
def test_a_token_that_changed_meanwhile_is_refused(
    machine: Machine, both: Both, change: Callable[[], Any], expected: int, known: bool
) -> None:
    both(machine.request(1.0), 201, machine.request(-1.0), straightly=True)
    change()
    both(machine.request(2.0), expected, straightly=True)  # the statement has found out
    both(machine.request(2.0, "k"), expected, straightly=known)
    assert values() == [1.0, -1.0]
    machine.token = create_token(name="other", scopes=["ingest"])[1]
    assert status(machine.ask(machine.request(3.0))) == 201


def test_an_error_is_logged_and_answered_as_ever(
    machine: Machine, both: Both, straight: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(*_: object) -> None:
        raise RuntimeError("of the statement")

    with monkeypatch.context() as broken:
        broken.setattr(ingest, "answered_on", break_down)
        both(machine.request(1.0), 500, straightly=True)
    assert status(machine.ask(machine.request(2.0))) == 201
    with monkeypatch.context() as broken:
        broken.setattr(guard, "is_alone", lambda *_: 1 / 0)
        answer = both(machine.request(3.0), 500, straightly=True)
    assert b"\r\nconnection: close\r\n" in answer
    assert machine.is_over()
    told = [(one.name, one.message, str(one.exc_info and one.exc_info[1])) for one in caplog.records if one.exc_info]
    assert told[0::2] == told[1::2]
    assert [message for _, message, _ in told[::2]] == [
        "a request to /ingest failed", "Exception in ASGI application\n"
    ]  # fmt: skip
    assert values() == [2.0]


def _with(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda request: request.replace(old, new, 1)


def _chunked(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    return b"%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (head, len(body), body)


def _sized(number: bytes) -> Callable[[bytes], bytes]:
    return lambda request: re.sub(rb"(?<=Content-Length: )\d+", number, request)


def test_what_looks_like_a_known_request_inside_of_another_is_none(machine: Machine, straight: list[int]) -> None:
    inner = machine.request(1.0)
    outer = machine.of(inner).replace(b"Host: localhost", b"Host: localhost\r\nX-Other: 1", 1)
    assert status(machine.ask(outer[: -len(inner)], inner, pause=0.05)) == 400
    chunked = _chunked(machine.of(inner))
    at = chunked.index(inner)
    assert status(machine.ask(chunked[:at], inner, chunked[at + len(inner) :], pause=0.05)) == 400
    assert (straight, values()) == ([], [])
    assert status(machine.ask(inner)) == 201
    assert straight == [201]
    assert status(machine.ask(b"POST /ingest HTTP/1.1\r\nHost: localhost\r\n", inner, pause=0.05)) == 400
    assert machine.is_over()
    assert (straight, values()) == ([201], [1.0])


DIFFERENT = [
    (_with(b"POST", b"HEAD"), 405),
    (_with(b"POST", b"PUT"), 405),
    (_with(b"HTTP/1.1", b"HTTP/1.0"), 201),
    (_with(b"HTTP/1.1", b"HTTP/3.1"), 400),
    (_with(b"/ingest", b"/nothing"), 404),
    (_with(b"/ingest", b"/ingest?partial=maybe"), 400),
    (_with(b"Host: localhost", b"Host: localhost\r\nConnection: close"), 201),
    (_with(b"Host: localhost", b"Host: localhost\r\nExpect: 100-continue"), 100),
    (_with(b"Host: localhost", b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c"), 400),
    (_with(b"POST", b"\r\nPOST"), 201),
    (_with(b"POST", b"\x00POST"), 400),
    (_with(b"Content-Length: ", b"Content-Length:  "), 201),
    (_with(b"Content-Length: ", b"Content-Length: 0"), 201),
    (_with(b"Content-Length: ", b"Content-Length: 5\r\nContent-Length: "), 400),
    (_sized(b"99999999"), 413),
    (_sized(b"12x"), 400),
    (_sized(b"-1"), 400),
    (_sized(b""), 400),
    (_sized(b"0"), 400),
    (_sized(b"10"), 400),
    (_chunked, 201),
    (_with(b"Idempotency-Key: k", b"Idempotency-Key: two words"), 201),
    (_with(b"Idempotency-Key: k", b"Idempotency-Key: \xc3\xa4"), 201),
    (_with(b"Idempotency-Key: k", b"Idempotency-Key: a\x01b"), 400),
    (_with(b"Idempotency-Key: k", b"Idempotency-Key: k\nX: y"), 400),
    (_with(b"Idempotency-Key: k", b"Idempotency-Key: "), 400),
    (_with(b"Bearer t", b"Bearer x"), 401),
]
"""What is done to a request whose head is known, and how it is answered."""


def test_whatever_differs_in_the_least_is_answered_as_ever(
    gateway: Gateway, plain: Machine, token: str, straight: list[int]
) -> None:
    ports = [gateway.client.base_url.port or 0, plain.line.getpeername()[1]]
    for change, expected in DIFFERENT:
        knowing, other = machines = [Machine(port, token, gateway.content) for port in ports]
        warmed(knowing, straight)
        assert status(other.ask(other.request(-1.0))) == 201
        answers = []
        for one in machines:
            Batch.objects.all().delete()
            with one.line:
                one.line.sendall(change(one.request(1.0, "k")))
                answers.append(one.all_that_comes())
        assert status(answers[0]) == expected, answers
        assert same(answers[0]) == same(answers[1])
