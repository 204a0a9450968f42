"""What a caller can make us read, repeat and log is bounded, and nothing impossible in an event is a 500."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.caller import Caller
from billing.domain.ids import is_tenant_id
from billing.edge import http
from billing.edge.parameters.pay import CreateInvoice
from billing.edge.parameters.subscribe import StartCheckout
from billing.errors import BadRequest, BodyTooLarge, Forbidden
from billing.settings import Settings


def claims(**values: Any) -> dict[str, Any]:
    return {"requestContext": {"authorizer": {"jwt": {"claims": values}}}}


# -- the scope of operators


@pytest.mark.parametrize("claim", ["scope", "scp", "roles"])
@pytest.mark.parametrize(
    "value", ["billing:admin", "openid billing:admin", "[openid billing:admin]", "[billing:admin]", "[x billing:admin"]
)
def test_an_operator(settings: Settings, claim: str, value: str) -> None:
    assert http.caller(claims(**{claim: value}), settings) == Caller(None, is_admin=True)


@pytest.mark.parametrize(
    "value",
    [
        "read:x,billing:admin",  # one token: a comma is no separator (RFC 6749, 3.3)
        "x[billing:admin]y",
        "[[billing:admin]]",
        "x\u00a0billing:admin",  # nor is a no-break space
        "x\tbilling:admin",
        "billing:admin\n",
        "billing:administrator",
        "BILLING:ADMIN",
        "",
        "[]",
        ["billing:admin"],  # the gateway hands over text only
        {"billing:admin": True},
        None,
        1,
    ],
)
def test_no_operator(settings: Settings, value: Any) -> None:
    assert http.caller(claims(scope=value, scp=value, roles=value), settings) == Caller(None)


def test_the_scopes_name_is_a_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_SCOPE", "billing/admin")  # as Cognito issues it
    assert http.caller(claims(scope="billing/admin"), settings).is_admin
    assert not http.caller(claims(scope="billing:admin"), settings).is_admin


def test_an_id_token_is_refused(settings: Settings) -> None:
    with pytest.raises(Forbidden, match="access token"):
        http.caller(claims(tenant_id="acme", scope="billing:admin", token_use="id"), settings)
    assert http.caller(claims(tenant_id="acme", token_use="access"), settings) == Caller("acme")


# -- tenants


@pytest.mark.parametrize("value", ["None", "null", "true", "false", "", "a b", "é", "a" * 65, None, True, 5, ["a"], {}])
def test_no_tenant(settings: Settings, value: Any) -> None:
    assert not is_tenant_id(value)
    assert http.caller(claims(tenant_id=value), settings) == Caller(None)


@pytest.mark.parametrize("value", ["None", "null", "true", "false"])
def test_no_parameter_names_such_a_tenant(value: str) -> None:
    event = {"queryStringParameters": {"tenantId": value, "planId": "plan-pro"}}
    with pytest.raises(BadRequest, match="tenantId: is not the id of a tenant"):
        http.parse(event, StartCheckout)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"requestContext": None},
        {"requestContext": []},
        {"requestContext": {"authorizer": None}},
        {"requestContext": {"authorizer": {"jwt": "x"}}},
        {"requestContext": {"authorizer": {"jwt": {"claims": ["tenant_id"]}}}},
    ],
)
def test_impossible_claims_are_nobodys(settings: Settings, event: dict[str, Any]) -> None:
    assert http.caller(event, settings) == Caller(None)


# -- bodies


def body_of(size: int) -> str:
    return json.dumps({"description": "x" * (size - len('{"description": ""}'))})


def test_a_body_may_have_16_kib() -> None:
    assert len(body_of(http.MAX_BODY_BYTES)) == 16 * 1024
    with pytest.raises(BadRequest, match="amount: is missing"):
        http.parse({"body": body_of(http.MAX_BODY_BYTES)}, CreateInvoice)


@pytest.mark.parametrize("size", [16 * 1024 + 1, 6_000_000])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_longer_body_is_refused_before_it_is_read(
    size: int, *, encoded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: object) -> None:
        raise AssertionError("JSON was read")

    monkeypatch.setattr("json.loads", read)
    text = body_of(size)
    event = {"body": base64.b64encode(text.encode()).decode() if encoded else text, "isBase64Encoded": encoded}
    with pytest.raises(BodyTooLarge):
        http.parse(event, CreateInvoice)


def test_characters_of_several_bytes_count_as_such() -> None:
    with pytest.raises(BodyTooLarge):
        http.parse({"body": json.dumps({"a": "é" * 9000}, ensure_ascii=False)}, CreateInvoice)


def test_an_answer_names_five_wrong_parameters() -> None:
    names = [f"wrong{n:02}" for n in range(40)]
    with pytest.raises(BadRequest) as refused:
        http.parse({"body": json.dumps(dict.fromkeys(names, 1))}, StartCheckout)
    named = str(refused.value).split("; ")
    assert len(named) == http.MAX_WRONG + 1
    assert named[-1] == "and 37 more."  # 40 unknown ones, and two that are missing


@pytest.mark.parametrize("name", ["x" * 10_000, "é" * 5000])
def test_a_name_is_cut(name: str) -> None:
    with pytest.raises(BadRequest) as unknown:
        http.parse({"body": json.dumps({name: 1, "tenantId": "a", "planId": "b"}, ensure_ascii=False)}, StartCheckout)
    assert str(unknown.value) == f"{name[:64]}: is not a parameter of this endpoint."
    with pytest.raises(BadRequest) as twice:
        http.parse({"pathParameters": {name: "a"}, "queryStringParameters": {name: "b"}}, StartCheckout)
    assert str(twice.value) == f"{name[:64]}: given twice, with different values."


@pytest.mark.parametrize(
    "event",
    [
        {"body": "é", "isBase64Encoded": True},
        {"body": "a", "isBase64Encoded": True},
        {"body": "\ud800"},
        {"body": 5},
        {"body": ["{}"]},
        {"body": {"tenantId": "a"}},
        {"body": base64.b64encode(b"\xff\xfe").decode(), "isBase64Encoded": True},
        {"pathParameters": ["a"]},
        {"pathParameters": {"tenantId": ["a"]}},
        {"pathParameters": {"tenantId": None}},
        {"pathParameters": {"tenantId": {"a": 1}}},
        {"pathParameters": {"tenantId": "\ud800"}},
        {"queryStringParameters": "tenantId=a"},
        {"queryStringParameters": {"tenantId": "a\x00"}},
        {"body": '{"tenantId": "\\ud800"}'},
        {"body": "[" * 10_000},
    ],
)
def test_what_cannot_be_read_is_a_bad_request(event: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        http.parse(event, StartCheckout)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
PARTS = ("body", "isBase64Encoded", "pathParameters", "queryStringParameters", "requestContext", "headers")


@given(event=st.dictionaries(st.sampled_from(PARTS), json_values))
def test_no_event_is_a_failure_of_ours(event: dict[str, Any]) -> None:
    try:
        http.parse(event, StartCheckout)
    except BadRequest as refused:
        assert len(str(refused)) < http.MAX_LOGGED
    http.header(event, "Stripe-Signature")
