"""A plain message read by the compiled core is what a full parser would have read, or it is not read at all.

The oracle is llhttp, which reads whatever the core leaves to it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from laneway._core import read_answer, read_request, read_target
from laneway.threshold import parts

HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n"
PARTS = (
    *(b"POST ", b"post ", b"GET ", b"/v1/messages", b"/", b"*", b"/a?b=%20", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
    *(
        b"host: a\r\n",
        b"X_a-1: b c\r\n",
        b"x: \xff\t\xe9z\r\n",
        b"x:y\r\n",
        b"x:  y\r\n",
        b"x: y \r\n",
        b"x:\r\n",
        b": y\r\n",
    ),
    *(b"Content-Length: 3\r\n", b"content-length:3\r\n", b"content-length: 03\r\n", b"content-length: -3\r\n"),
    *(b"content-length : 3\r\n", b"content-length: 3, 3\r\n", b"content-length: 3\n", b" folded\r\n", b"\tfolded\r\n"),
    *(
        b"connection: keep-alive\r\n",
        b"connection: Keep-Alive\r\n",
        b"connection: close\r\n",
        b"connection: upgrade\r\n",
    ),
    *(
        b"proxy-connection: close\r\n",
        b"transfer-encoding: chunked\r\n",
        b"expect: 100-continue\r\n",
        b"upgrade: h2c\r\n",
    ),
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"{ }",
        b"{",
        b"POST / HTTP/1.1\r\n\r\n",
        b"\x80",
        b"\x7f",
        b"x" * 1100 + b": y\r\n",
    ),
)
requests = st.lists(st.sampled_from(PARTS), max_size=9).map(b"".join)
likely = st.lists(st.sampled_from(PARTS[9:]), max_size=5).map(lambda more: HEAD + b"".join(more) + b"\r\n{ }")


class Read(NamedTuple):
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Heard:
    """What a parser's callbacks hear of one message."""

    def __init__(self, made: type[Any]) -> None:
        self.parser = made(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.target = self.body = b""
        self.begun = self.complete = 0
        self.keeps = False

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.keeps = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def heard(made: type[Any], data: bytes) -> Heard:
    one = Heard(made)
    one.parser.feed_data(data)
    assert (one.begun, one.complete, one.keeps) == (1, 1, True)
    return one


def read_by_a_client(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    client = heard(httptools.HttpResponseParser, data)
    assert client.parser.get_http_version() == "1.1"
    return client.parser.get_status_code(), client.headers, client.body


def read_by_a_server(data: bytes) -> Read:
    server = heard(httptools.HttpRequestParser, data)
    assert (server.parser.get_method(), server.parser.get_http_version()) == (b"POST", "1.1")
    return Read(server.target, server.headers, server.body)


@given(st.one_of(requests, likely))
@example(HEAD + b"\r\n{ }")
@example(HEAD + b"connection: keep-alive\r\nx: \xff\t\xe9z\r\n\r\n{ }")
def test_what_is_read_is_what_a_server_reads(data: bytes) -> None:
    read = read_request(data)
    if read is not None:
        assert read == read_by_a_server(data)


@given(st.one_of(requests, likely), st.sampled_from([b"origin", b"x", b"host"]))
@example(HEAD + b"\r\n{ }", b"host")
@example(HEAD + b"Origin: a\r\n\r\n{ }", b"origin")
def test_a_target_alone_is_that_of_the_whole_request(data: bytes, without: bytes) -> None:
    read = read_request(data)
    named = read is not None and any(name == without for name, _ in read[1])
    assert read_target(data, without) == (None if read is None or named else read[0])


STATUSES = (
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 404 \r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 100 Continue\r\n",
        b"HTTP/1.0 200 OK\r\n",
    ),
    *(
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 304 x\r\n",
        b"HTTP/1.1 999 x\r\n",
        b"HTTP/1.1 20 x\r\n",
        b"HTTP/1.1 500 \xe9\r\n",
    ),
    *(b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1  200 OK\r\n", b"http/1.1 200 OK\r\n"),
)
some_answers = st.tuples(st.sampled_from(STATUSES), st.lists(st.sampled_from(PARTS[9:]), max_size=8).map(b"".join)).map(
    b"".join
)
likely_answers = st.tuples(
    st.sampled_from(STATUSES), st.lists(st.sampled_from(PARTS[9:]), max_size=4).map(b"".join)
).map(lambda parts: parts[0] + b"Content-Length: 3\r\n" + parts[1] + b"\r\n{ }")
ANSWER = b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 3\r\n\r\n{ }"


@given(st.one_of(some_answers, likely_answers))
@example(ANSWER)
def test_an_answer_that_is_read_is_what_a_client_reads(data: bytes) -> None:
    read = read_answer(data)
    if read is not None:
        assert read == read_by_a_client(data)


@given(st.binary(max_size=40), st.integers(0, len(ANSWER)), st.integers(0, 3))
def test_a_damaged_answer_is_read_alike_or_not_at_all(noise: bytes, at: int, removed: int) -> None:
    data = ANSWER[:at] + noise + ANSWER[at + removed :]
    read = read_answer(data)
    if read is not None:
        assert read == read_by_a_client(data)


def test_a_plain_answer_is_read() -> None:
    assert read_answer(ANSWER) == (200, [(b"server", b"a"), (b"content-length", b"3")], b"{ }")


@given(st.text("/-._~%?=&+:#@ a0Z", max_size=12))
def test_a_target_that_is_read_has_a_path_and_a_query(rest: str) -> None:
    target = b"/" + rest.encode()
    read = read_request(HEAD.replace(b"/v1/messages", target) + b"\r\n{ }")
    assert (read is None) == any(odd in rest for odd in "#@ ")
    if read is not None:
        _, raw, query = parts(read[0])
        assert raw + (b"?" if b"?" in target else b"") + query == target


@given(st.binary(max_size=40), st.integers(0, len(HEAD) + 5), st.integers(0, 3))
def test_a_damaged_request_is_read_alike_or_not_at_all(noise: bytes, at: int, removed: int) -> None:
    whole = HEAD + b"\r\n{ }"
    data = whole[:at] + noise + whole[at + removed :]
    read = read_request(data)
    if read is not None:
        assert read == read_by_a_server(data)


@pytest.mark.parametrize(
    "more", [b"", b"connection: keep-alive\r\n", b"Connection: Keep-Alive\r\n", b"x-a_1: b c\r\n", b"x:y\r\n"]
)
def test_a_plain_request_is_read(more: bytes) -> None:
    read = read_request(HEAD + more + b"\r\n{ }")
    assert read is not None
    target, headers, body = read
    assert (target, body) == (b"/v1/messages", b"{ }")
    assert headers[:2] == [(b"host", b"a"), (b"content-length", b"3")]
    assert len(headers) == 2 + bool(more)


@pytest.mark.parametrize(
    "odd",
    [
        HEAD + b"\r\n{",
        HEAD + b"\r\n{ }POST",
        HEAD,
        HEAD + b"content-length: 3\r\n\r\n{ }",
        HEAD + b"Content-Length : 3\r\n\r\n{ }",
        HEAD + b"transfer-encoding: chunked\r\n\r\n{ }",
        HEAD + b"a: b\ncontent-length: 9\r\n\r\n{ }",
        HEAD + b"a: b\r\n c\r\n\r\n{ }",
        HEAD + b"expect: 100-continue\r\n\r\n{ }",
        HEAD + b"upgrade: h2c\r\n\r\n{ }",
        HEAD + b"connection: close\r\n\r\n{ }",
        HEAD + b"proxy-connection: close\r\n\r\n{ }",
        HEAD + b"x: \r\n\r\n{ }",
        HEAD + b"x: y \r\n\r\n{ }",
        HEAD + b"x" * 2000 + b": y\r\n\r\n{ }",
        HEAD + b"x: y\r\n" * 70 + b"\r\n{ }",
        HEAD.replace(b"3", b"+3") + b"\r\n{ }",
        HEAD.replace(b"3", b"3000000000") + b"\r\n{ }",
        HEAD.replace(b"1.1", b"1.0") + b"\r\n{ }",
        HEAD.replace(b"/v1", b"v1") + b"\r\n{ }",
        HEAD.replace(b"\r\n", b"\n") + b"\r\n{ }",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"",
    ],
)
def test_anything_odd_is_left_to_the_parser(odd: bytes) -> None:
    assert read_request(odd) is None
