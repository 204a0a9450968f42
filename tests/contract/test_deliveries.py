"""Checks how the stand-in delivers events: their signatures, retries, and faults like lost or repeated events."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import stripe
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from local.serving import Quiet
from local.stripe.account import Account
from local.stripe.webhooks import Weather

type Served = tuple[Account, str]

SECRET = "whsec_first"
WAIT_SECONDS = 600


@dataclass
class Endpoint:
    """A webhook endpoint. It answers with the given statuses first, and then with 200."""

    received: list[tuple[bytes, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.received.append((request.get_data(), request.headers["Stripe-Signature"]))
        status = self.statuses.pop(0) if self.statuses else 200
        return Response("seen", status)(environ, start_response)

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for body, _ in self.received]


@pytest.fixture
def endpoint(stripe_server: Served) -> Iterator[Endpoint]:
    made = Endpoint()
    listener = make_server("127.0.0.1", 0, made, threaded=True, request_handler=Quiet)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    webhooks = stripe_server[0].webhooks
    webhooks.url, webhooks.secrets = f"http://127.0.0.1:{listener.server_port}/", [SECRET]
    yield made
    webhooks.url = ""
    listener.shutdown()
    listener.server_close()


def happen(served: Served, number: int = 1) -> list[str]:
    """Makes that many events and waits until they are delivered. Returns the ids of all events."""
    server, address = served
    for n in range(number):
        form = {"name": str(n)}
        requests.post(f"{address}/v1/customers", form, auth=(server.api_key, ""), timeout=600).raise_for_status()
    assert server.webhooks.wait_idle(WAIT_SECONDS)
    return [event["id"] for event in server.store.all("event")][::-1]


def weather(served: Served, **settings: object) -> None:
    requests.post(f"{served[1]}/_control/weather", settings, timeout=600).raise_for_status()


def test_an_event_is_signed_as_stripe_signs(stripe_server: Served, endpoint: Endpoint) -> None:
    happen(stripe_server)
    [(body, header)] = endpoint.received
    assert stripe.Webhook.construct_event(body, header, SECRET)["type"] == "customer.created"


def test_a_refused_event_is_delivered_again(stripe_server: Served, endpoint: Endpoint) -> None:
    endpoint.statuses = [500, 302]
    made = happen(stripe_server)
    assert endpoint.ids() == made * 3
    assert [entry["status"] for entry in stripe_server[0].webhooks.log] == [500, 302, 200]


def test_copies_and_disorder(stripe_server: Served, endpoint: Endpoint) -> None:
    weather(stripe_server, copies=2, shuffled="true")
    made = happen(stripe_server, 12)
    assert Counter(endpoint.ids()) == dict.fromkeys(made, 2)
    first = list(dict.fromkeys(endpoint.ids()))
    assert first != made, "all twelve events arrived in order"


def test_lost_events_never_come(stripe_server: Served, endpoint: Endpoint) -> None:
    weather(stripe_server, lost=1)
    happen(stripe_server, 3)
    assert endpoint.received == []
    assert [entry["answer"] for entry in stripe_server[0].webhooks.log] == ["lost on the way"] * 3
    weather(stripe_server)
    [event, *_] = stripe_server[0].store.all("event")
    requests.post(f"{stripe_server[1]}/_control/events/{event['id']}/deliver", timeout=600).raise_for_status()
    assert stripe_server[0].webhooks.wait_idle(WAIT_SECONDS)
    assert endpoint.ids() == [event["id"]]


def test_an_endpoint_that_was_down(stripe_server: Served, endpoint: Endpoint) -> None:
    server, address = stripe_server
    weather(stripe_server, down="true")
    requests.post(f"{address}/v1/customers", auth=(server.api_key, ""), timeout=600).raise_for_status()
    while not server.webhooks.log:
        assert not server.webhooks.wait_idle(0.05)
    weather(stripe_server)
    assert server.webhooks.wait_idle(WAIT_SECONDS)
    assert len(endpoint.received) == 1


def test_a_rolled_secret_signs_together_with_the_old_one(stripe_server: Served, endpoint: Endpoint) -> None:
    answer = requests.post(f"{stripe_server[1]}/_control/webhook_secret", timeout=600).json()
    happen(stripe_server)
    [(body, header)] = endpoint.received
    assert header.count("v1=") == 2
    for secret in (SECRET, answer["secret"]):
        stripe.Webhook.construct_event(body, header, secret)


def test_types_that_nobody_asked_for_are_not_sent(stripe_server: Served, endpoint: Endpoint) -> None:
    stripe_server[0].webhooks.types = {"invoice.paid"}
    happen(stripe_server)
    assert endpoint.received == []


@pytest.mark.parametrize(
    ("failure", "error"), [({"status": 500}, stripe.APIError), ({"status": 429}, stripe.RateLimitError)]
)
def test_api_failures_on_demand(stripe_server: Served, failure: dict[str, int], error: type[Exception]) -> None:
    server, address = stripe_server
    client = stripe.StripeClient(server.api_key, base_addresses={"api": address}, max_network_retries=0)
    requests.post(f"{address}/_control/failures", failure, timeout=600).raise_for_status()
    with pytest.raises(error):
        client.v1.customers.list()
    assert client.v1.customers.list().data == []


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("clock", {"days": "x"}, 400),
        ("clock", {"days": "-1"}, 400),
        ("clock", {"days": "99999"}, 400),
        ("weather", {"copies": "many"}, 400),
        ("dunning", {"ends": "never"}, 400),
        ("failures", {"seconds": "soon"}, 400),
        ("checkout_sessions/cs_none/complete", {}, 404),
        ("nothing", {}, 404),
    ],
)
def test_controls_say_what_is_wrong(stripe_server: Served, path: str, form: dict[str, str], status: int) -> None:
    answer = requests.post(f"{stripe_server[1]}/_control/{path}", form, timeout=600)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True)


def test_events_are_listed_by_their_delivery(stripe_server: Served, endpoint: Endpoint) -> None:
    server, address = stripe_server
    [delivered] = happen(stripe_server)
    server.webhooks.weather = Weather(lost=1)
    both = happen(stripe_server)
    events = stripe.StripeClient(server.api_key, base_addresses={"api": address}).v1.events
    assert [event.id for event in events.list({"delivery_success": True}).data] == [delivered]
    assert {event.id for event in events.list({"delivery_success": False}).data} == {*both} - {delivered}
