"""Stories to watch on a running stack. Each leads one tenant to a moment that is worth a look.

People, a frontend and the passing of time act by the HTTP API and the stand-in's controls, as the console's buttons do.
Story and seed make the tenant's id. The seed also decides which webhooks the weather takes. So the same seed gives the
same story on every stack that has just been started.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests

from local.desk import Desk
from local.stripe.engine import invoices

SEEDS: Final = 999_999  # the largest
_TIMEOUT: Final = 600  # seconds; long, so that a busy machine causes no failure
_HALF: Final = 0.5


class NotPlayed(Exception):
    """The story could not be played to its end. The message says what went wrong."""


class Played(Exception):
    """This stack has the tenant of the story already."""


@dataclass(frozen=True)
class Scene:
    """Where a story is played, and with which tenant."""

    stack: Desk
    tenant: str
    seed: int

    def subscribes(self, card: str = "pm_card_visa") -> str:
        """The tenant's checkout, paid with this test card or debit. Returns the subscription's id."""
        session = self.opens_checkout()
        return str(self.control(f"checkout_sessions/{session}/complete", payment_method=card)["subscription"])

    def opens_checkout(self) -> str:
        """Returns the session's id, which is the last part of its address."""
        query = f"tenantId={self.tenant}&planId=plan-starter"
        headers = {"Authorization": f"Bearer {self.stack.token(self.tenant)}"}
        url = f"{self.stack.api_url}/api/v1/billing/stripe/checkout?{query}"
        return str(_call(requests.post, url, headers=headers)["sessionUrl"]).rsplit("/", 1)[1]

    def control(self, path: str, *, refused: bool = False, **form: object) -> dict[str, Any]:
        """One of the controls of `local/stripe/controls.py`. Waits until all webhooks have arrived, or are lost."""
        url = f"{self.stack.stripe_base}/_control"
        answer: dict[str, Any] = _call(requests.post, f"{url}/{path}", refused=refused, data=form)
        if not _call(requests.get, f"{url}/deliveries", params={"wait": _TIMEOUT})["idle"]:
            raise NotPlayed("Webhooks are still being delivered.")
        return answer

    def charge_of(self, subscription: str) -> str:
        """The charge that paid the subscription's newest invoice."""
        assert self.stack.stripe
        store = self.stack.stripe.store
        with self.stack.stripe.lock:
            intent = invoices.intent_of(
                store, store.get("invoice", store.get("subscription", subscription)["latest_invoice"])
            )
            assert intent, "it was paid"
            return str(intent["latest_charge"])


@dataclass(frozen=True)
class Scenario:
    """`look`: where to look afterwards, and what is to be seen there."""

    title: str
    story: str
    look: tuple[str, ...]
    act: Callable[[Scene], object]


def play(stack: Desk, name: str, seed: int) -> str:
    """Plays the story `name` of `SCENARIOS`. Returns the tenant's id. Raises `Played` and `NotPlayed`."""
    scene = Scene(stack, tenant_of(name, seed), seed)
    if is_played(stack, name, seed):
        raise Played(f"The tenant {scene.tenant} is there already.")
    scene.control("weather")
    try:
        SCENARIOS[name].act(scene)
    finally:
        scene.control("weather")
    return scene.tenant


def tenant_of(name: str, seed: int) -> str:
    return f"{name}-{seed}"


def is_played(stack: Desk, name: str, seed: int) -> bool:
    return stack.aws.table().tenant(tenant_of(name, seed)) is not None


def _call(method: Callable[..., requests.Response], url: str, *, refused: bool = False, **request: Any) -> Any:
    """The JSON of the answer. `refused`: a 402 is what the story wants. Raises `NotPlayed`."""
    try:
        answer = method(url, timeout=_TIMEOUT, **request)
        body = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise NotPlayed(f"{url} did not answer: {error}") from error
    if not answer.ok and not (refused and answer.status_code == requests.codes.payment_required):
        raise NotPlayed(f"{url} answered {answer.status_code}: {body}")
    return body


# -- the stories


def _declined_renewal(scene: Scene) -> None:
    subscription = scene.subscribes()
    scene.control("weather", lost=_HALF, seed=scene.seed)
    scene.control(f"subscriptions/{subscription}/renew", outcome="failed")


def _confirmed_renewal(scene: Scene) -> None:
    subscription = scene.subscribes()
    scene.control(f"subscriptions/{subscription}/renew", payment_method="pm_card_authenticationRequired")


def _failed_debit(scene: Scene) -> None:
    scene.subscribes("pm_sepaDebit_failure")
    scene.control("clock", days=4)


def _won_dispute(scene: Scene) -> None:
    dispute = scene.control(f"charges/{scene.charge_of(scene.subscribes())}/dispute")
    scene.control(f"disputes/{dispute['id']}/close", outcome="won")


def _declined_at_first(scene: Scene) -> None:
    session = scene.opens_checkout()
    scene.control(f"checkout_sessions/{session}/complete", refused=True, outcome="declined")
    scene.control(f"checkout_sessions/{session}/complete")


def _all_lost(scene: Scene) -> None:
    session = scene.opens_checkout()
    scene.control("weather", lost=1)
    scene.control(f"checkout_sessions/{session}/complete")


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "declined-renewal": Scenario(
        "A declined renewal, and half of the webhooks are lost",
        "The tenant subscribes and pays. At the renewal its card is declined, and on the way to the platform half of "
        "Stripe's events get lost. The seed decides which.",
        (
            "Events: those that say “lost on the way” did not arrive, and Stripe does not send them again.",
            "The tenant: open “Stripe and the table, side by side”. What the lost events told is what differs.",
            "Reconciliation: press “Compare with Stripe”. Its card counts what it missed; events say “brought in”.",
        ),
        _declined_renewal,
    ),
    "three-d-secure-renewal": Scenario(
        "3-D Secure at a renewal",
        "The tenant subscribes and pays. At the renewal its bank wants the customer to confirm the payment, and the "
        "customer is not there. (The period ends early: Stripe's time stands still.)",
        (
            "The tenant: its first button is “Confirm the payment of …”. It is ACTIVE, and its subscription past_due.",
            "The invoice: it has actionRequired, and is PENDING and not OVERDUE. Open it, and ask why.",
            "Announcements: invoice.action_required, with which the platform can ask the customer.",
            "Press “Confirm the payment of …”, and then answer for the bank: yes or no.",
        ),
        _confirmed_renewal,
    ),
    "failed-debit": Scenario(
        "A bank debit that fails after four days",
        "The tenant pays its first invoice by bank debit. Stripe calls the subscription active at once. After four "
        "days the bank says no. Stripe's time moves on by these days, for all tenants.",
        (
            "The tenant: it is PENDING, and never was ACTIVE. Open it, and ask why its status is so.",
            "Announcements: nobody heard tenant.activated. payment.failed came when the bank said no.",
            "Events: checkout.session.async_payment_failed is the one that tells of the bank's answer.",
        ),
        _failed_debit,
    ),
    "won-dispute": Scenario(
        "A dispute that is won",
        "The tenant subscribes and pays. The bank takes the money back for the cardholder: a dispute. The platform "
        "sends its evidence and wins, and the money comes back.",
        (
            "The payment: it is not disputed any more, and disputeStatus is won. Open it, and ask why.",
            "Announcements: payment.disputed, and then payment.dispute_closed.",
            "Events: the four that begin with charge.dispute.",
        ),
        _won_dispute,
    ),
    "declined-at-first": Scenario(
        "A buyer whose first card is declined",
        "On Stripe's page the first card is declined. Stripe has made the subscription by then: it is incomplete. The "
        "buyer takes another card in the same session, and pays.",
        (
            "Events: invoice.payment_failed comes before invoice.paid; customer.subscription.created says incomplete.",
            "The tenant: it was PENDING until the money came, and nothing was overdue. Open it, and ask why.",
            "Announcements: tenant.activated, once.",
        ),
        _declined_at_first,
    ),
    "all-lost": Scenario(
        "A checkout whose webhooks are all lost",
        "The tenant subscribes and pays, and not one of Stripe's events arrives.",
        (
            "The tenant: it has paid, and the table says PENDING. “Stripe and the table, side by side” has the rest.",
            "Events: each that is for the platform says “lost on the way”, and has no record.",
            "Reconciliation: press “Compare with Stripe”, and the tenant is ACTIVE.",
        ),
        _all_lost,
    ),
}
