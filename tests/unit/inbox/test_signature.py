import string

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import InvalidSignature
from billing.inbox.signature import TOLERANCE_SECONDS, sign, verify

NOW = 1_795_435_200
BODY = b'{"id": "evt_1"}'
SECRET = "whsec_one"

secrets = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=40)


def accepts(body: bytes, header: str, secret: str, now: float) -> bool:
    try:
        verify(body, header, [secret], now)
    except InvalidSignature:
        return False
    return True


def oracle(body: bytes, header: str, secret: str, now: float, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Asks stripe's own check.

    It limits only how old a signature may be, and it raises other exceptions for hostile input.
    """
    monkeypatch.setattr("stripe._webhook.time.time", lambda: now)
    try:
        stripe.WebhookSignature.verify_header(body.decode(), header, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, UnicodeError, TypeError, ValueError, IndexError):
        return False
    return True


@given(body=st.text(max_size=200), secret=secrets, other=secrets, age=st.integers(-10, 400), data=st.data())
def test_it_agrees_with_stripes_own_check(body: str, secret: str, other: str, age: int, data: st.DataObject) -> None:
    raw = body.encode("utf-8", "replace")
    header = sign(raw, secret, NOW - age)
    tamper = data.draw(st.sampled_from(["no", "secret", "body", "header", "extra", "schemes"]))
    used = other if tamper == "secret" else secret
    sent = raw + b"x" if tamper == "body" else raw
    if tamper == "header":
        at = data.draw(st.integers(0, len(header) - 1))
        header = header[:at] + data.draw(st.sampled_from("0aft,=v1 ")) + header[at + 1 :]
    if tamper == "extra":
        header = header.replace(",v1=", f",v1={'0' * 64},v1=")
    if tamper == "schemes":
        header = header.replace("v1=", "v0=")
    with pytest.MonkeyPatch.context() as patch:
        expected = oracle(sent, header, used, NOW, patch)
    assert accepts(sent, header, used, NOW) == expected


@given(header=st.text(max_size=300), body=st.binary(max_size=50))
def test_hostile_headers_are_refused_and_nothing_else_happens(header: str, body: bytes) -> None:
    assert not accepts(body, header, SECRET, NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=abc",
        f"t={NOW},t={NOW},v1=abc",
        f"t=-{NOW},v1=abc",
        "t=１,v1=abc",
        f"t={'9' * 5000},v1=abc",
        f"t={NOW},v1=é\ud800",
        f"t={NOW}," + ",".join(["v1=" + "0" * 64] * 17),
    ],
)
def test_malformed_headers(header: str) -> None:
    assert not accepts(BODY, header, SECRET, NOW)


@pytest.mark.parametrize(("age", "ok"), [(300, True), (301, False), (-300, True), (-301, False), (0, True)])
def test_both_directions_of_time(age: int, ok: bool) -> None:
    assert accepts(BODY, sign(BODY, SECRET, NOW - age), SECRET, NOW) is ok


def test_every_secret_is_tried_against_every_signature() -> None:
    old, new = sign(BODY, "whsec_old", NOW), sign(BODY, "whsec_new", NOW)
    both = old + "," + new.split(",", 1)[1]
    verify(BODY, both, ["whsec_other", "whsec_new"], NOW)
    verify(BODY, both, ["whsec_old"], NOW)
    verify(BODY, new, ["whsec_old", "whsec_new"], NOW)
    with pytest.raises(InvalidSignature):
        verify(BODY, both, ["whsec_other"], NOW)


@pytest.mark.parametrize("configured", [[], [""], ["", ""]])
def test_no_secret_refuses_everything(configured: list[str]) -> None:
    with pytest.raises(InvalidSignature):
        verify(BODY, sign(BODY, "", NOW), configured, NOW)


def test_bytes_that_are_no_text_are_signed_as_they_are() -> None:
    body = b"\xff\x00\xfe"
    verify(body, sign(body, SECRET, NOW), [SECRET], NOW)
