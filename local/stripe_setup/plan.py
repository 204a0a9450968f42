"""What `make stripe-setup` will change, what it leaves to a person, and what its check finds.

This module does no I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from local.stripe_setup.expected import (
    MANAGED,
    NAMED,
    RETIRED,
    VERSION,
    Account,
    Act,
    Change,
    Difference,
    Form,
    Secret,
    StripeObject,
    Wish,
    differences,
    enabled,
    endpoint_in_use,
    endpoints_beside,
    live,
    our_configuration,
)


@dataclass(frozen=True)
class Plan:
    """`left`: problems that only a person can solve. `remarks`: useful information."""

    changes: tuple[Change, ...]
    remarks: tuple[str, ...]
    left: tuple[str, ...]


def plan(account: Account, wish: Wish) -> Plan:
    obstacle = _obstacle(account) if wish.retire else ""
    changes = [*_endpoint(account, wish), *_portal(account, wish)]
    if wish.retire and not obstacle:
        changes += _retire(account)
    left = [*_unsigned(account), *([obstacle] if obstacle else [])]
    return Plan(tuple(changes), tuple(_remarks(account, wish)), tuple(left))


# -- the endpoint


def _endpoint(account: Account, wish: Wish) -> Iterator[Change]:
    found, expected = endpoint_in_use(account), wish.endpoint
    if found is None:
        yield Change(Act.CREATE_ENDPOINT, "", expected, tuple(differences({}, expected)))
        return
    different = tuple(differences(found, expected | {"status": "enabled"}))
    form = {name: expected[name] for name in ("enabled_events", "description", "metadata")}
    if not enabled(found):  # otherwise the field stays out, so the request does not undo a later decision
        form["disabled"] = False
    if different:
        yield Change(Act.CHANGE_ENDPOINT, found["id"], form, different)


def _unsigned(account: Account) -> Iterator[str]:
    """Reports that no signing secret is stored. Stripe shows a signing secret only in the answer to the creation."""
    found = endpoint_in_use(account)
    if found and not account.secret.signing:
        yield (
            f"No signing secret is stored for {found['id']}, and Stripe showed it only when the endpoint was made. "
            "Reveal or roll it in Stripe's dashboard (Webhooks, the endpoint, Signing secret), and put it as "
            'webhook-secret, ["whsec_…"], into the secret beside the other keys; '
            "or delete the endpoint there and run this again."
        )


# -- replacing the endpoint of an older version


def _obstacle(account: Account) -> str:
    """Why nothing can be retired now; empty if there is no reason.

    The endpoint that stays must already be enabled, and its secret must be stored.
    """
    stays = endpoint_in_use(account)
    if stays is None or not enabled(stays):
        return f"Nothing is retired yet: no endpoint of version {VERSION} was at work before this run."
    if len(account.secret.signing) < 1 + len(endpoints_beside(account)):
        return "Nothing is retired yet: fewer signing secrets are stored than endpoints are enabled."
    return ""


def _retire(account: Account) -> Iterator[Change]:
    """Disables the other endpoints and drops all signing secrets but the first, which is the newest.

    It drops secrets only together with an endpoint. Otherwise an operator may be rolling a secret at this moment.
    """
    form = {"disabled": True, "metadata": MANAGED | {RETIRED: "yes"}}
    old = endpoints_beside(account)
    for one in old:
        yield Change(Act.RETIRE_ENDPOINT, one["id"], form, (Difference("status", "enabled", "disabled"),))
    count = len(account.secret.signing)
    before = any(
        RETIRED in e["metadata"] for e in account.endpoints
    )  # an earlier run may have stopped after it retired the endpoint
    if count > 1 and (old or before):
        yield Change(Act.DROP_SECRETS, "", {}, (Difference("webhook-secret", f"{count} secrets", "the first"),))


def _remarks(account: Account, wish: Wish) -> Iterator[str]:
    stays = endpoint_in_use(account)
    if stays and not enabled(stays):
        yield f"{stays['id']} was disabled by a person, or by Stripe after days of failures: it is enabled again."
    beside = [] if wish.retire and not _obstacle(account) else endpoints_beside(account)
    for old in beside:
        yield (
            f"{old['id']} (version {old['api_version'] or 'of the account'}) is to be disabled once the endpoint of "
            f"version {VERSION} has delivered events: make stripe-setup … RETIRE=1. Until then each event comes twice "
            "and is applied once."
        )
    if wish.products is None:
        yield "No PRICES are given, so the portal configuration keeps its setting for switching plans."


# -- the portal


def _portal(account: Account, wish: Wish) -> Iterator[Change]:
    found, expected = our_configuration(account), wish.configuration
    if found is None:
        yield Change(Act.CREATE_PORTAL, "", expected, tuple(differences({}, expected)))
        return
    expected = expected | {"active": True}
    different = tuple(differences(found, expected))
    if different:
        yield Change(Act.CHANGE_PORTAL, found["id"], expected, different)
    if account.secret.portal != found["id"]:
        yield Change(Act.NAME_PORTAL, found["id"], {}, (Difference(NAMED, account.secret.portal, found["id"]),))


# -- the check


def findings(account: Account, wish: Wish) -> list[str]:
    """Everything in the account that differs from the expected state. Empty if nothing differs."""
    return [*_of_endpoints(account, wish), *_of_secret(account, wish), *_of_portal(account, wish)]


def _of_endpoints(account: Account, wish: Wish) -> Iterator[str]:
    there = [e for e in account.endpoints if RETIRED not in e["metadata"]]
    if not there:
        yield f"No webhook endpoint is at {wish.url}."
        return
    at_work = [e["id"] for e in there if enabled(e)]
    if len(at_work) > 1:
        yield f"Several endpoints are enabled at {wish.url}, and every event comes to each: {', '.join(at_work)}."
    seen = endpoint_in_use(account) or max(there, key=enabled)
    yield from _deviations(f"Endpoint {seen['id']}", seen, wish.endpoint | {"status": "enabled"}, wish)


def _of_secret(account: Account, wish: Wish) -> Iterator[str]:
    secret = account.secret
    if secret.problem:
        yield secret.problem
        return
    yield from mixed(secret, wish)
    yield from _unsigned(account)
    at_work = sum(map(enabled, account.endpoints))
    if 0 < len(secret.signing) < at_work:
        yield f"{at_work} endpoints are enabled and {len(secret.signing)} signing secrets are stored."


def mixed(secret: Secret, wish: Wish) -> Iterator[str]:
    """Reports a missing key, or a key of the wrong mode: the functions ignore the events of the other mode."""
    key = secret.value.get("api-key")
    if not isinstance(key, str) or not key:
        yield "The secret has no api-key (docs/deployment.md, 1. The secret)."
    elif live(key) is not wish.live:
        yield f"The api-key in the secret is not of {wish.mode} mode, as STRIPE_API_KEY is."


def _of_portal(account: Account, wish: Wish) -> Iterator[str]:
    found = our_configuration(account)
    if found is None:
        yield "The managed portal configuration is missing."
    else:
        what = f"Portal configuration {found['id']}"
        yield from _deviations(what, found, wish.configuration | {"active": True}, wish)
        if not account.secret.problem and account.secret.portal != found["id"]:
            yield f"The secret names {account.secret.portal or 'no portal configuration'}, and not {found['id']}."


def _deviations(what: str, found: StripeObject, expected: Form, wish: Wish) -> Iterator[str]:
    if found["livemode"] is not wish.live:
        yield f"{what} is not of {wish.mode} mode, as STRIPE_API_KEY is."
    for difference in differences(found, expected):
        yield f"{what}, {difference}"
