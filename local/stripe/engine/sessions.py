"""Opens Checkout Sessions: for a call of the API, and for each visit of a payment link."""

from local.stripe.engine import checkout
from local.stripe.engine.store import DAY, Object, Sold, Store
from local.stripe.errors import invalid


def open_session(store: Store, form: Object, sold: Sold) -> Object:
    """`form`: the parameters of `POST /v1/checkout/sessions`. Raises `ApiError`."""
    customer = form.get("customer")
    session = store.create(
        "checkout.session",
        mode=form.get("mode", "payment"),
        status="open",
        payment_status="unpaid",
        ui_mode="hosted_page",
        customer=store.named("customer", customer, "customer")["id"] if customer else None,
        currency=sold[0][0]["currency"],
        payment_method_types=["card", "us_bank_account"],
        expires_at=form.get("expires_at", store.now() + DAY),
        metadata={},
        _lines=sold,
        _subscription_data=form.get("subscription_data", {}),
        _intent_data=form.get("payment_intent_data", {}),
    )
    total = sum(price["unit_amount"] * quantity for price, quantity in sold)
    trial = checkout.trial_days(session) > 0
    session |= {"amount_total": 0 if trial else total, "amount_subtotal": 0 if trial else total}
    for name in ("client_reference_id", "success_url", "cancel_url", "customer_email", "metadata"):
        session[name] = form.get(name, session[name])
    session["url"] = f"{store.public_url}/c/pay/{session['id']}"
    return session


def open_link(store: Store, link: Object, reference: str | None) -> Object:
    """A customer opens the payment link: each visit has a new session. Nobody knows the customer yet.

    `reference`: the parameter `client_reference_id` of the address.
    https://docs.stripe.com/payment-links/url-parameters
    """
    if not link["active"]:
        raise invalid("This payment link is no longer active.")
    recurring = any(price["recurring"] for price, _ in link["_sold"])
    form = {**link["_data"], "mode": "subscription" if recurring else "payment"}
    session = open_session(store, form | ({"client_reference_id": reference} if reference else {}), link["_sold"])
    session["payment_link"] = link["id"]
    return session
