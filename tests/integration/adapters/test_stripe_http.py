"""Stripe's SDK over urllib3 behaves as it does over requests: each test runs with both clients."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
import stripe
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from billing.adapters.stripe_http import Urllib3Client

LONG = 10.0
SHORT = 0.3

type Answer = Callable[["Handler"], None]
type Make = Callable[[float], stripe.HTTPClient]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Answer
    seen: list["Handler"]

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append(self)
        type(self).answer(self)

    def give(self, status: int = 200, body: bytes = b'{"id": "cus_1", "object": "customer"}', **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[Handler]]]:
    seen: list[Handler] = []
    kind = type("One", (Handler,), {"answer": answer, "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", seen
        server.shutdown()


@pytest.fixture(params=["urllib3", "requests"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    made: list[stripe.HTTPClient] = []

    def new(seconds: float) -> stripe.HTTPClient:
        ours = request.param == "urllib3"
        made.append(Urllib3Client(seconds, seconds) if ours else stripe.RequestsClient(timeout=(seconds, seconds)))
        return made[-1]

    yield new
    for one in made:
        one.close()  # type: ignore[no-untyped-call]


def client(http: stripe.HTTPClient, base: str) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_local", base_addresses={"api": base}, http_client=http, max_network_retries=1)


def test_an_answer(make: Make) -> None:
    with serving(lambda h: h.give(Request_Id="req_1")) as (base, seen):
        made = client(make(LONG), base).v1.customers.create({"metadata": {"ä": "ö&="}}, {"idempotency_key": "once"})
    assert made.id == "cus_1"
    response = made.last_response
    assert response
    assert (response.code, response.headers["request-id"], response.request_id) == (200, "req_1", "req_1")
    [one] = seen
    assert (one.command, one.path, one.body) == ("POST", "/v1/customers", b"metadata[%C3%A4]=%C3%B6%26%3D")
    assert one.headers["Idempotency-Key"] == "once"
    assert one.headers["Authorization"] == "Bearer sk_test_local"


def test_a_compressed_answer(make: Make) -> None:
    packed = gzip.compress(b'{"id": "cus_1", "object": "customer"}')
    with serving(lambda h: h.give(body=packed, Content_Encoding="gzip")) as (base, seen):
        assert client(make(LONG), base).v1.customers.retrieve("cus_1").id == "cus_1"
    assert "gzip" in seen[0].headers["Accept-Encoding"]


def test_parameters_of_a_read(make: Make) -> None:
    with serving(lambda h: h.give(body=b'{"object": "list", "data": [], "has_more": false}')) as (base, seen):
        client(make(LONG), base).v1.invoices.list({"expand": ["data.payments"], "limit": 3})
    assert seen[0].path.replace("%5B", "[").replace("%5D", "]") == "/v1/invoices?expand[0]=data.payments&limit=3"


def test_a_connection_is_used_again(make: Make) -> None:
    with serving(lambda h: h.give()) as (base, seen):
        one = client(make(LONG), base)
        for _ in range(3):
            one.v1.customers.retrieve("cus_1")
    assert len({h.client_address for h in seen}) == 1


def test_many_threads_at_once(make: Make) -> None:
    together = threading.Barrier(4)

    def meet(handler: Handler) -> None:
        together.wait(LONG)
        handler.give(body=b'{"id": "%s", "object": "customer"}' % handler.path.rpartition("/")[2].encode())

    with serving(meet) as (base, _):
        one = client(make(LONG), base)
        found: dict[str, str] = {}
        asking = [
            threading.Thread(target=lambda name: found.update({name: one.v1.customers.retrieve(name).id}), args=[name])
            for name in ("cus_1", "cus_2", "cus_3", "cus_4")
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(LONG)
    assert found == {name: name for name in ("cus_1", "cus_2", "cus_3", "cus_4")}


# -- failures. `attempts`: 2 when the SDK repeats the request.


def drop(handler: Handler) -> None:
    """Ends the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang(handler: Handler) -> None:
    handler.close_connection = True
    time.sleep(SHORT * 4)


def hang_later(handler: Handler) -> None:
    """The head of an answer, and half of its body."""
    handler.give(body=b"{", Content_Length="100")
    handler.wfile.flush()
    hang(handler)


def half(handler: Handler) -> None:
    handler.close_connection = True
    handler.give(body=b"{", Content_Length="100")


@pytest.mark.parametrize(
    ("answer", "limit", "attempts"),
    [(drop, LONG, 2), (hang, SHORT, 2), (hang_later, SHORT, 2), (half, LONG, 1)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_connection_that_breaks(make: Make, answer: Answer, limit: float, attempts: int) -> None:
    with serving(answer) as (base, seen), pytest.raises(stripe.APIConnectionError):
        client(make(limit), base).v1.customers.create({}, {"idempotency_key": "once"})
    assert [h.headers["Idempotency-Key"] for h in seen] == ["once"] * attempts


def test_nobody_listens(make: Make) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(stripe.APIConnectionError) as raised:
            client(make(LONG), f"http://127.0.0.1:{bound.getsockname()[1]}").v1.customers.retrieve("cus_1")
    assert raised.value.should_retry


@pytest.mark.parametrize(
    ("status", "told", "attempts"),
    [(500, {}, 2), (409, {}, 2), (429, {}, 1), (400, {}, 1), (500, {"false"}, 1), (400, {"true"}, 2)],
)
def test_answers_that_are_failures(make: Make, status: int, told: set[str], attempts: int) -> None:
    headers = dict.fromkeys(["Stripe_Should_Retry"], *told) if told else {}
    refusal = b'{"error": {"message": "no", "type": "api_error"}}'
    with serving(lambda h: h.give(status, refusal, **headers)) as (base, seen), pytest.raises(stripe.StripeError) as no:
        client(make(LONG), base).v1.customers.retrieve("cus_1")
    assert (no.value.http_status, len(seen)) == (status, attempts)


def test_a_strangers_certificate(make: Make, tmp_path: Path) -> None:
    """It is refused, and nothing is sent a second time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(tmp_path))
    tried = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                tried.append(1)
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=accept, daemon=True).start()
        with pytest.raises(stripe.APIConnectionError) as raised:
            client(make(LONG), f"https://127.0.0.1:{server.getsockname()[1]}").v1.customers.retrieve("cus_1")
    assert not raised.value.should_retry
    assert len(tried) == 1


def test_the_authorities_are_those_of_the_sdk(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setattr(stripe, "ca_bundle_path", str(certificate))
    with serving(lambda h: h.give(), context) as (base, _):
        assert client(make(LONG), base).v1.customers.retrieve("cus_1").id == "cus_1"


def test_a_key_that_is_no_header(make: Make) -> None:
    with serving(lambda h: h.give()) as (base, seen), pytest.raises(stripe.APIConnectionError) as raised:
        make(LONG).request("get", base, {"Authorization": "Bearer sk_test\n"})
    assert (raised.value.should_retry, seen) == (False, [])


# -- proxies, as the environment names them


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment(make: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda h: h.give()) as (proxy, seen):
        monkeypatch.setenv(name, proxy.replace("//", "//me:p%40ss@"))
        client(make(LONG), "http://api.stripe.test").v1.customers.retrieve("cus_1")
    assert seen[0].path == "http://api.stripe.test/v1/customers/cus_1"
    assert seen[0].headers["Proxy-Authorization"] == "Basic bWU6cEBzcw=="


def test_a_tunnel_through_a_proxy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy does not see the key, and its refusal is repeated once."""
    with serving(lambda h: h.give(502, b"")) as (proxy, seen):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(stripe.APIConnectionError):
            client(make(LONG), "https://api.stripe.test").v1.customers.retrieve("cus_1")
    assert [(h.command, h.path, h.headers["Authorization"]) for h in seen] == [
        ("CONNECT", "api.stripe.test:443", None)
    ] * 2


def test_an_address_without_the_proxy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda h: h.give()) as (base, seen):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
        client(make(LONG), base).v1.customers.retrieve("cus_1")
    assert seen[0].path == "/v1/customers/cus_1"


# -- what the two do differently


def test_no_redirect_is_followed() -> None:
    http = Urllib3Client(LONG, LONG)
    with serving(lambda h: h.give(302, b"", Location="/elsewhere")) as (base, seen), pytest.raises(stripe.APIError):
        client(http, base).v1.customers.retrieve("cus_1")
    http.close()
    assert len(seen) == 1


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that nobody else has signed, for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.now(UTC), timedelta(days=1)
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    building = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    made = building.add_extension(host, critical=False).sign(key, hashes.SHA256())
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return certificate, private
