"""The calls with which Stripe's own pages and its CLI complete a Checkout Session. Stripe does not document them."""

from typing import Final

from local.stripe.engine import checkout
from local.stripe.engine.objects import Operation
from local.stripe.engine.store import Object, Store


def _show(store: Store, _: Object, id: str) -> Object:
    session = store.get("checkout.session", id)
    total = session["amount_total"]
    return {
        "id": f"ppage_{id}",
        "object": "checkout.session",
        "session_id": id,
        "status": session["status"],
        "invoice": {"amount_due": total, "total": total},
        "line_item_group": {"total": total, "due": total},
        "total_summary": {"due": total, "total": total},
    }


def _confirm(store: Store, form: Object, id: str) -> Object:
    method = store.named("payment_method", form.get("payment_method", ""), "payment_method")
    # A client of this call, such as Stripe's CLI, has no page for the bank's question. So the answer counts as yes.
    return checkout.complete_checkout(store, store.get("checkout.session", id), method["_card"], confirmed=True)


ROUTES: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("GET", "/v1/payment_pages/{session}", _show),
    ("POST", "/v1/payment_pages/{session}/confirm", _confirm),
)
