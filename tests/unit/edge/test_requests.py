"""Checks the parts of an HTTP request before a use case sees it."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.adapters.secret import parse
from billing.domain.caller import Caller
from billing.edge import http
from billing.edge.parameters.subscribe import StartCheckout
from billing.errors import BadRequest, BadReturnUrl, Misconfigured
from billing.settings import Settings
from billing.subscribe.portal import check_return_url

ORIGINS = frozenset({"https://app.example.com", "https://app.example.com:8443", "http://localhost:3000"})


def allowed(url: str) -> bool:
    try:
        check_return_url(url, ORIGINS)
    except BadReturnUrl:
        return False
    return True


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/a/b?c=d#e",
        "https://APP.example.com/a",
        "https://app.example.com:8443/",
        "http://localhost:3000/billing",
        "https://app.example.com:443/a",
    ],
)
def test_allowed_return_urls(url: str) -> None:
    assert allowed(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/billing",
        "//app.example.com",
        "http://app.example.com/",
        "ftp://app.example.com/",
        "javascript:alert(1)//https://app.example.com",
        "https://app.example.com.evil.net/",
        "https://app.example.com@evil.net/",
        "https://user@app.example.com/",
        "https://:pw@app.example.com/",
        "https://evil.net/https://app.example.com",
        "https://evil.net#@app.example.com",
        "https://evil.net\\@app.example.com/",
        "https://app.example.com\\.evil.net",
        "https://app.example.com:444/",
        "https://app.example.com:99999/",
        "https://app.example.com:x/",
        "https://sub.app.example.com/",
        "https://app.example.com./",
        " https://app.example.com/",
        "https://app.example.com/\n",
        "https://app.example.com /",
        "https://аpp.example.com/",
        "https://[::1/",
        "http://localhost:3001/",
        "http://localhost/",
    ],
)
def test_refused_return_urls(url: str) -> None:
    assert not allowed(url)


@given(st.text(max_size=60))
def test_no_text_leads_to_another_site(text: str) -> None:
    if allowed(text):
        assert text.lower().startswith(tuple(ORIGINS))


# -- callers


def claims(**values: str) -> dict[str, Any]:
    return {"requestContext": {"authorizer": {"jwt": {"claims": values, "scopes": None}}}}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (claims(tenant_id="t1"), Caller("t1")),
        (claims(tenant_id="t1", scope="openid billing:admin"), Caller("t1", is_admin=True)),
        (claims(scope="billing:admin"), Caller(None, is_admin=True)),
        (claims(scp="[openid billing:admin]"), Caller(None, is_admin=True)),
        (claims(tenant_id="t1", scope="billing:administrator"), Caller("t1")),
        (claims(tenant_id="t1", scope="not-billing:admin"), Caller("t1")),
        (claims(tenant_id="a b"), Caller(None)),
        (claims(tenant_id=""), Caller(None)),
        (claims(tenant_id="TENANT#x"), Caller(None)),
        ({}, Caller(None)),
    ],
)
def test_who_calls(settings: Settings, event: dict[str, Any], expected: Caller) -> None:
    assert http.caller(event, settings) == expected


def test_the_claim_is_configurable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANT_CLAIM", "custom:org")
    assert http.caller(claims(**{"custom:org": "t9"}), settings) == Caller("t9")


# -- bodies


def test_encoded_bodies() -> None:
    body = b"\xff\x00"
    assert http.raw_body({"body": base64.b64encode(body).decode(), "isBase64Encoded": True}) == body
    assert http.raw_body({"body": "é"}) == "é".encode()
    assert http.raw_body({}) == b""
    for broken in ({"body": "!", "isBase64Encoded": True}, {"body": "\ud800"}):
        with pytest.raises(BadRequest):
            http.raw_body(broken)


def test_every_wrong_parameter_is_named() -> None:
    with pytest.raises(BadRequest) as caught:
        http.parse({"queryStringParameters": {"tenantId": "a b", "x": "1"}}, StartCheckout)
    for name in ("tenantId", "planId", "x"):
        assert name in str(caught.value)


def test_headers_in_any_case() -> None:
    assert http.header({"headers": {"stripe-signature": "a"}}, "Stripe-Signature") == "a"
    assert http.header({"headers": {"Stripe-Signature": "a"}}, "stripe-signature") == "a"
    assert http.header({}, "Stripe-Signature") == ""


# -- configuration


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_NAME", raising=False)
    with pytest.raises(Misconfigured, match="TABLE_NAME"):
        _ = Settings().table_name


def test_the_environment_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETURN_ORIGINS", "https://a.example.com/, https://b.example.com ,")
    monkeypatch.setenv("STRIPE_API_BASE", "")
    assert Settings().return_origins == {"https://a.example.com", "https://b.example.com"}
    assert Settings().stripe_api_base == "https://api.stripe.com"


@pytest.mark.parametrize(
    ("stored", "secrets"),
    [
        ("whsec_1", ("whsec_1",)),
        (["whsec_a", "whsec_b"], ("whsec_a", "whsec_b")),
        ("", ()),
        ([], ()),
        (None, ()),
        (["", "whsec_a"], ("whsec_a",)),
    ],
)
def test_one_webhook_secret_or_several(stored: Any, secrets: tuple[str, ...]) -> None:
    secret = parse({"api-key": "sk_test_1", "webhook-secret": stored})
    assert secret.webhook_secrets == secrets
    assert not secret.livemode
    assert "sk_test_1" not in repr(secret)
    assert "whsec" not in repr(secret)


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_live_keys(key: str) -> None:
    assert parse({"api-key": key}).livemode


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {"api-key": ""},
        {"api-key": 1},
        {"api-key": "k", "webhook-secret": 7},
        {"api-key": "k", "portal-configuration": 7},
    ],
)
def test_broken_secrets(value: Any) -> None:
    with pytest.raises(Misconfigured):
        parse(value)
