"""Checks how the real handler processes a delivery: authentication, the record of the event, and the answer."""

import base64
import copy
import io
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from billing import bootstrap
from billing.adapters.aws import failures
from billing.adapters.table import keys
from billing.adapters.table.store import Table
from billing.domain.records import Record, RecordStatus
from billing.errors import RevisionConflict
from billing.inbox import delivery as deliveries
from billing.inbox.signature import sign
from billing.observability import logger
from billing.replica.effects import EFFECTS, charge_changed
from local.commands.sign import delivery
from local.stripe.engine import subscriptions
from local.stripe.engine.store import Object
from tests.aws_calls import intercept
from tests.integration.support import refused
from tests.world import TENANT, WEBHOOK_SECRET, World, client, set_secret


def record(world: World, event: Object) -> Record:
    found = world.table.record(event["id"])
    assert found
    return found


@pytest.fixture
def subscribed(world: World) -> Object:
    """Returns the `customer.subscription.created` event of a tenant that has just completed a checkout."""
    world.plan()
    world.subscribe()
    return next(e for e in world.new_events() if e["type"] == "customer.subscription.created")


# -- authentication


def test_an_event_is_applied_and_recorded(world: World, subscribed: Object) -> None:
    answer = world.deliver(subscribed)
    assert answer.status == 200
    assert answer.body == {"received": True, "status": "PROCESSED", "duplicate": False}
    stored = record(world, subscribed)
    assert stored.status is RecordStatus.PROCESSED
    assert stored.event_type == "customer.subscription.created"
    assert stored.object_id == subscribed["data"]["object"]["id"]
    assert stored.tenant_id == TENANT
    assert stored.api_version == subscribed["api_version"]
    assert stored.received_at
    assert stored.processed_at
    assert stored.attempts == 0


def test_the_record_outlives_stripes_retries(world: World, subscribed: Object) -> None:
    world.deliver(subscribed)
    raw = world.dynamodb.get_item(
        TableName=world.table.name, Key={"PK": {"S": f"EVENT#{subscribed['id']}"}, "SK": {"S": "EVENT"}}
    )["Item"]
    assert int(raw["expiresAt"]["N"]) > time.time() + 89 * 24 * 3600


def test_a_forged_event_writes_nothing(world: World, subscribed: Object) -> None:
    refused(world.deliver(subscribed, secret="whsec_guessed"), 400, "invalid-signature")
    assert world.table.record(subscribed["id"]) is None


@pytest.mark.parametrize("age", [-301, 301, 10**6])
def test_an_old_or_future_signature_is_refused(world: World, subscribed: Object, age: int) -> None:
    body = json.dumps(subscribed).encode()
    event = delivery(body, WEBHOOK_SECRET, int(time.time()) - age)
    refused(world.invoke("stripe_webhook", event), 400, "invalid-signature")


def test_the_reason_stays_true_while_the_secret_may_not_be_read_again(world: World, subscribed: Object) -> None:
    world.deliver(subscribed, secret="whsec_guessed")
    old = delivery(json.dumps(subscribed).encode(), WEBHOOK_SECRET, int(time.time()) - 400)
    answer = world.invoke("stripe_webhook", old)
    refused(answer, 400, "invalid-signature")
    assert "300 s" in answer.body["detail"]


def test_no_signature_at_all(world: World, subscribed: Object) -> None:
    refused(world.deliver_raw(json.dumps(subscribed).encode(), headers={}), 400, "invalid-signature")


def test_a_base64_body_is_checked_as_bytes(world: World, subscribed: Object) -> None:
    body = json.dumps(subscribed).encode()
    encoded = base64.b64encode(body).decode()
    assert world.deliver_raw(body, body=encoded, isBase64Encoded=True).status == 200
    refused(world.deliver_raw(body, body="!" + encoded, isBase64Encoded=True), 400, "bad-request")


def test_a_rolled_secret_is_taken_up_without_a_deployment(world: World, subscribed: Object) -> None:
    assert world.deliver(subscribed).status == 200
    bootstrap_secret = bootstrap.secrets().read()
    value = {"api-key": "sk_test_local", "webhook-secret": ["whsec_new", WEBHOOK_SECRET]}
    client("secretsmanager").put_secret_value(SecretId=world.secret_arn, SecretString=json.dumps(value))
    assert bootstrap.secrets().read() == bootstrap_secret  # the store still returns the cached secret
    assert world.deliver(subscribed, secret="whsec_new").status == 200
    assert world.deliver(subscribed, secret=WEBHOOK_SECRET).status == 200


def test_a_flood_of_bad_signatures_asks_for_the_secret_once(
    world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.secrets().read()
    asked: list[str] = []

    def counted(_: str, operation: str, __: Any, call: Callable[[], Any]) -> Any:
        asked.append(operation)
        return call()

    intercept(monkeypatch, counted)
    for _ in range(5):
        assert world.deliver(subscribed, secret="whsec_guessed").status == 400
    assert asked == ["GetSecretValue"]


@pytest.mark.parametrize("stored", ["", []])
def test_without_a_configured_secret_everything_is_refused(world: World, subscribed: Object, stored: Any) -> None:
    set_secret(world.secret_arn, stored)
    refused(world.deliver(subscribed, secret=""), 400, "invalid-signature")


# -- bodies


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"id":"evt_1"}'])
def test_a_signed_body_that_is_no_event(world: World, body: bytes) -> None:
    refused(world.deliver_raw(body), 400, "invalid-event")


def test_thin_events(world: World) -> None:
    refused(world.deliver_raw(b'{"object":"v2.core.event","id":"evt_1"}'), 400, "thin-event")


def test_an_oversized_body(world: World) -> None:
    refused(world.deliver_raw(b" " * (deliveries.MAX_BODY_BYTES + 1)), 413, "body-too-large")
    refused(world.deliver_raw(b" " * deliveries.MAX_BODY_BYTES), 400, "invalid-event")


# -- the record


def test_the_same_event_twice_counts_once(world: World, subscribed: Object) -> None:
    world.deliver(subscribed)
    before = (world.tenant(), world.subscriptions(), record(world, subscribed))
    answer = world.deliver(subscribed)
    assert (answer.status, answer.body["duplicate"], answer.body["status"]) == (200, True, "PROCESSED")
    assert (world.tenant(), world.subscriptions(), record(world, subscribed)) == before


def test_an_unknown_type_is_ignored(world: World, subscribed: Object) -> None:
    event = {**subscribed, "type": "customer.discount.created"}
    assert world.deliver(event).body == {"received": True, "status": "IGNORED", "duplicate": False}
    assert record(world, event).reason == "unhandled type"
    assert world.deliver(event).body["duplicate"] is True


def test_another_mode_is_ignored(world: World, subscribed: Object, capsys: pytest.CaptureFixture[str]) -> None:
    event = {**subscribed, "livemode": True}
    assert world.deliver(event).body["status"] == "IGNORED"
    assert record(world, event).reason == "another mode than ours"
    assert world.subscriptions() == []
    assert "LivemodeMismatch" in capsys.readouterr().out


def test_an_event_of_a_connected_account_is_ignored(world: World, subscribed: Object) -> None:
    """An endpoint with `connect: true` gets them. Their objects are of somebody else, whatever their metadata says."""
    event = {**subscribed, "account": "acct_connected"}
    assert event["data"]["object"]["metadata"]["tenantId"] == TENANT
    assert world.deliver(event).body["status"] == "IGNORED"
    assert record(world, event).reason == "of a connected account"
    assert world.subscriptions() == []


def test_an_event_of_no_tenant_is_ignored(world: World, subscribed: Object) -> None:
    event = copy.deepcopy(subscribed)
    event["data"]["object"] |= {"customer": "cus_elsewhere", "metadata": {}}
    assert world.deliver(event).body["status"] == "IGNORED"
    assert record(world, event).reason == "no tenant of ours"


def test_an_ignored_event_is_applied_when_its_reason_is_gone(world: World, subscribed: Object) -> None:
    event = copy.deepcopy(subscribed)
    event["data"]["object"] |= {"customer": "cus_later", "metadata": {}}
    world.deliver(event)
    world.customer("later", "cus_later")
    assert world.deliver(event).body == {"received": True, "status": "PROCESSED", "duplicate": False}
    assert len(world.subscriptions("later")) == 1
    assert record(world, event).reason is None
    assert world.deliver(event).body["duplicate"] is True


def test_a_failure_is_answered_with_5xx_recorded_and_repaired_by_the_next_delivery(
    world: World, subscribed: Object
) -> None:
    [session] = world.stripe.store.all("checkout.session")
    event = {**subscribed, "type": "checkout.session.completed", "data": {"object": _shown(session)}}
    world.stripe.fail(500, count=4, path="/v1/subscriptions")
    for attempt in (1, 2):
        refused(world.deliver(event), 503, "stripe-unavailable")
        stored = record(world, event)
        assert (stored.status, stored.attempts) == (RecordStatus.FAILED, attempt)
        assert stored.error
        assert stored.error.startswith("StripeFailed")
        assert stored.last_seen_at
    assert [r["PK"]["S"] for r in _failed(world)] == [f"EVENT#{event['id']}"]
    assert world.deliver(event).body["status"] == "PROCESSED"
    stored = record(world, event)
    assert (stored.status, stored.error, stored.attempts) == (RecordStatus.PROCESSED, None, 2)
    assert _failed(world) == []


def _shown(stripe_object: Object) -> Object:
    return {name: value for name, value in stripe_object.items() if not name.startswith("_")}


def _failed(world: World) -> list[Any]:
    found: list[Any] = world.dynamodb.query(
        TableName=world.table.name,
        IndexName="failed-events",
        KeyConditionExpression="failedStatus = :f",
        ExpressionAttributeValues={":f": {"S": "FAILED"}},
    )["Items"]
    return found


def test_a_payload_that_breaks_us_is_a_failure_and_not_a_200(world: World, subscribed: Object) -> None:
    event = copy.deepcopy(subscribed)
    del event["data"]["object"]["status"]
    refused(world.deliver(event), 500, "unreadable-object")
    assert record(world, event).status is RecordStatus.FAILED
    assert world.subscriptions() == []


def test_a_subscription_that_stripe_does_not_have_is_tried_again(world: World, subscribed: Object) -> None:
    world.stripe.store.forget("subscription")
    session = _shown(world.stripe.store.all("checkout.session")[0])
    event = {**subscribed, "type": "checkout.session.completed", "data": {"object": session}}
    refused(world.deliver(event), 503, "unresolved")
    assert record(world, event).status is RecordStatus.FAILED


# -- crashes and races between deliveries


class Killed(BaseException):
    """The Lambda stops at once. No handler catches this exception."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["open_record", "commit"])
def test_a_kill_at_either_write_is_healed_by_the_next_delivery(
    world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    original = getattr(Table, call)

    def killed(self: Table, *arguments: Any) -> None:  # the inbox passes its arguments by position
        if after:
            original(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Table, call, killed)
        with pytest.raises(Killed):
            world.deliver(subscribed)
    answer = world.deliver(subscribed)
    assert answer.status == 200
    assert answer.body["duplicate"] is (call == "commit" and after)
    assert record(world, subscribed).status is RecordStatus.PROCESSED
    [subscription] = world.subscriptions()
    assert subscription.revision == 1


def test_a_lost_race_is_run_again(world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Table.commit
    raced: list[int] = []

    def beaten(self: Table, *arguments: Any) -> None:
        if not raced:
            raced.append(1)
            tenant = self.tenant(TENANT)
            assert tenant
            self.write([tenant])  # another writer changes the tenant between our read and our write
        original(self, *arguments)

    monkeypatch.setattr(Table, "commit", beaten)
    assert world.deliver(subscribed).body["status"] == "PROCESSED"
    assert raced


def test_a_race_that_never_ends_is_a_5xx(world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    def beaten(*_: Any) -> None:
        raise RevisionConflict

    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(Table, "commit", beaten)
    refused(world.deliver(subscribed), 503, "contention")
    monkeypatch.undo()


def test_the_slower_of_two_deliveries_finds_the_record_closed(
    world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Table.commit

    def second(self: Table, *arguments: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Table, "commit", original)
            assert world.deliver(subscribed).body["duplicate"] is False
        original(self, *arguments)

    monkeypatch.setattr(Table, "commit", second)
    answer = world.deliver(subscribed)
    assert (answer.status, answer.body["duplicate"]) == (200, True)
    [subscription] = world.subscriptions()
    assert subscription.revision == 1


def test_many_items_are_read_however_many_round_trips_it_takes(world: World) -> None:
    world.customer()
    event_keys = [keys.event(f"evt_{n}") for n in range(1200)]
    assert list(world.table.read([*event_keys, keys.tenant(TENANT)])) == [keys.tenant(TENANT)]


def test_a_throttled_table_is_a_5xx_and_nothing_is_lost(
    world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(*_: Any) -> None:
        raise failures.unavailable("DynamoDB", "ThrottlingException")

    with monkeypatch.context() as patch:
        patch.setattr(Table, "commit", throttled)
        refused(world.deliver(subscribed), 503, "aws-unavailable")
    assert record(world, subscribed).status is RecordStatus.FAILED
    assert world.deliver(subscribed).body["status"] == "PROCESSED"


def test_a_failure_to_record_the_failure_is_still_a_5xx(
    world: World, subscribed: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the table is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Table, "commit", broken)
        patch.setattr(Table, "fail_record", broken)
        refused(world.deliver(subscribed), 500, "internal")
    assert record(world, subscribed).status is RecordStatus.RECEIVED
    assert world.deliver(subscribed).body["status"] == "PROCESSED"


def test_nothing_secret_is_logged(world: World, subscribed: Object) -> None:
    handler, log = logger.registered_handler, io.StringIO()
    assert isinstance(handler, logging.StreamHandler)
    stream = handler.setStream(log)
    world.deliver(subscribed)
    world.deliver(subscribed, secret="whsec_guessed")
    subscriptions.cancel_subscription(world.stripe.store, world.stripe.store.all("subscription")[0])
    world.deliver_new()
    handler.setStream(stream)
    logged = log.getvalue()
    assert subscribed["id"] in logged
    body = json.dumps(subscribed).encode()
    for secret in (WEBHOOK_SECRET, "sk_test_local", sign(body, WEBHOOK_SECRET, 1).split("v1=")[1][:8]):
        assert secret not in logged


def test_an_effect_on_an_unknown_kind_of_object_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """This happens if somebody adds an event type but forgets to extend `replica/account.py`."""
    world.customer()
    event = world.stripe.store.emit("price.updated", world.stripe.store.create("price", id="price_1"))
    monkeypatch.setattr("billing.inbox.inbox.EFFECTS", {**EFFECTS, "price.updated": charge_changed})
    refused(world.deliver(event), 500, "internal")
    record = world.table.record(event["id"])
    assert record
    assert record.status is RecordStatus.FAILED
    assert record.error
    assert record.error.startswith("UnknownObject")
