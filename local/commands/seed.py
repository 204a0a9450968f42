"""Creates the first data of the local stack: three plans, a tenant with its Stripe customer, an invoice to pay.

It creates the data like a platform team: prices at Stripe, plans and invoices through the admin API. Only the tenant's
link to an existing customer is written directly to the table, as a migration does it.
"""

import json
from typing import Any, Final

import requests
import stripe

from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.domain.entities import Tenant
from billing.domain.writes import Pointer, StripeId
from local import template
from local.desk import Desk
from local.stripe.engine.store import Store

TENANT: Final = "550e8400"
CUSTOMER: Final = "cus_abc123"
INVOICE: Final = "inv-001"
PLANS: Final = {"plan-starter": ("Starter", 1900), "plan-pro": ("Pro", 4900), "plan-enterprise": ("Enterprise", 19900)}
MONEY_DUE: Final[dict[str, Any]] = {
    "amount": 25000,
    "currency": "usd",
    "dueDate": "2030-01-31",
    "description": "Set-up",
}
_TIMEOUT: Final = 600  # seconds; long, so that a busy machine causes no failure


def seed(stack: Desk) -> str:
    """Returns a text that lists the created data."""
    if stack.stripe:
        _bring_in_samples(stack.stripe.store)
    client = stripe.StripeClient(stack.api_key, base_addresses={"api": stack.stripe_base})
    customer = _customer(stack, client)
    tenant = Tenant(tenant_id=TENANT, stripe_customer_id=customer)
    table = stack.aws.table()
    table.write([tenant], [Pointer(StripeId(customer), tenant_id=TENANT)])
    for plan_id, (name, amount) in PLANS.items():
        price = _price(client, plan_id, name, amount)
        admin(stack, "PUT", f"/plans/{plan_id}", {"stripePriceId": price, "name": name})
    admin(stack, "POST", f"/tenants/{TENANT}/invoices", {"invoiceId": INVOICE, **MONEY_DUE})
    return f"tenant {TENANT} (customer {customer}), {', '.join(PLANS)}, invoice {INVOICE} (PENDING, 250.00 USD)"


def admin(stack: Desk, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Calls an admin endpoint of the stack. Raises `RuntimeError`, which contains the problem document."""
    headers = {"Authorization": f"Bearer {stack.token(None, DEFAULT_ADMIN_SCOPE)}"}
    url = f"{stack.api_url}/api/v1/billing{path}"
    answer = requests.request(method, url, json=body, headers=headers, timeout=_TIMEOUT)
    if not answer.ok:
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
    created: dict[str, Any] = answer.json()
    return created


def _bring_in_samples(store: Store) -> None:
    """Adds the objects of the events in events/stripe. A function that handles such an event can then fetch them.

    No list has them: a reconciliation would bring in their tenant, whom nobody has made.
    """
    for path in sorted((template.ROOT / "events" / "stripe").glob("*.json")):
        store.add(json.loads(path.read_text())["data"]["object"] | {"_unlisted": True})
    for price in store.all("price"):
        price.pop("_unlisted", None)
        name, _ = PLANS[price["lookup_key"]]
        price["product"] = store.create("product", name=name, active=True)["id"]


def _customer(stack: Desk, client: stripe.StripeClient) -> str:
    if stack.stripe:
        created = stack.stripe.store.create("customer", id=CUSTOMER, metadata={"tenantId": TENANT}, name="Acme")
        return str(created["id"])
    parameters: Any = {"metadata": {"tenantId": TENANT}}
    return client.v1.customers.create(parameters, {"idempotency_key": f"local-seed-{TENANT}"}).id


def _price(client: stripe.StripeClient, plan_id: str, name: str, amount: int) -> str:
    """Returns the id of the plan's price. Creates the price if Stripe has none with the plan's lookup key."""
    found = client.v1.prices.list({"lookup_keys": [plan_id]}).data
    if found:
        return found[0].id
    product = client.v1.products.create({"name": name})
    price: Any = {
        "product": product.id,
        "currency": "usd",
        "unit_amount": amount,
        "recurring": {"interval": "month"},
        "lookup_key": plan_id,
    }
    return client.v1.prices.create(price).id
