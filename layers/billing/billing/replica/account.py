"""The tenant that a Stripe object belongs to, and what the effects need to know of it from the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from billing.domain.entities import Identity, Invoice, Kind, Payment, Subscription, Tenant
from billing.domain.order import Payload
from billing.domain.writes import StripeId
from billing.errors import UnknownObject
from billing.replica import payloads
from billing.replica.reading import id_in, text


@dataclass(frozen=True)
class Account:
    """`customer_known`: the owner of the object's customer is recorded, or the object names no customer.

    `plans` maps the id of a price to the id of its plan.
    """

    tenant: Tenant
    customer_known: bool = False
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    invoices: Mapping[str, Invoice] = field(default_factory=dict)
    payments: Mapping[str, Payment] = field(default_factory=dict)
    plans: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class References:
    """The ids in a Stripe object: those that lead to its owner, and those of the entities that it may change.

    `invoice_names`: the object's invoice says who owns it, and of which subscription it is.
    `changes_subscriptions`: the object may change one, and so the tenant. `asks_all`: all of them matter.
    `writes_new`: the subscriptions that it names are written if they are new.
    """

    customer: str | None
    prices: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    invoices: tuple[str, ...] = ()
    payments: tuple[str, ...] = ()
    invoice_names: bool = False
    changes_subscriptions: bool = False
    asks_all: bool = False
    writes_new: bool = False

    @property
    def owners(self) -> list[StripeId]:
        """The ids whose owner may be recorded. The first one whose owner is recorded decides."""
        invoices = self.invoices if self.invoice_names else ()
        return [StripeId(one) for one in _present(self.customer, *invoices)]

    def entities(self, tenant_id: str) -> list[Identity]:
        """The tenant, and the subscriptions, invoices and payments that the object may change."""
        return [
            _tenant(tenant_id),
            *_subscriptions(tenant_id, *self.subscriptions),
            *(Identity(Kind.INVOICE, one, tenant_id) for one in self.invoices),
            *_payments(tenant_id, *self.payments),
        ]


def references(stripe_object: Payload) -> References:
    """Raises `UnknownObject` for a kind of object that this function does not know, and `Unreadable`."""
    kind = stripe_object.get("object")
    customer = text(stripe_object, "id") if kind == "customer" else id_in(stripe_object, "customer")
    match kind:
        case "subscription":
            waits = payloads.checkout_attempt(stripe_object) is not None  # perhaps for the money of its first invoice
            invoices = _present(id_in(stripe_object, "latest_invoice")) if waits else ()
            found = References(customer, payloads.prices_of(stripe_object), invoices=invoices)
            named = (text(stripe_object, "id"),)
            return replace(found, subscriptions=named, changes_subscriptions=True, writes_new=True)
        case "checkout.session":
            invoices, subscriptions = (_present(id_in(stripe_object, name)) for name in ("invoice", "subscription"))
            found = References(customer, invoices=invoices, subscriptions=subscriptions)
            return replace(found, changes_subscriptions=True, writes_new=True)
        # If the invoice is paid, by its payload or because Stripe says so when it is asked, it may settle a checkout.
        case "invoice":
            payments = payloads.invoice_intents(stripe_object)
            found = References(customer, invoices=(text(stripe_object, "id"),), payments=payments)
            subscriptions = _present(payloads.invoice_subscription(stripe_object))
            return replace(found, subscriptions=subscriptions, changes_subscriptions=bool(subscriptions))
        case "invoice_payment":
            paid = payloads.invoice_payment(stripe_object)
            found = References(customer, invoices=(paid.invoice_id,), payments=_present(paid.payment_intent_id))
            return replace(found, invoice_names=True, changes_subscriptions=True)
        case "payment_intent":
            invoices = _present(*payloads.intent_invoice(stripe_object))
            return References(customer, invoices=invoices, payments=(text(stripe_object, "id"),))
        case "customer" | "charge" | "refund" | "dispute":
            # The subscriptions know which other customers a tenant has, whose customer was deleted.
            payments = _present(id_in(stripe_object, "payment_intent"))
            every = kind == "customer"
            return References(customer, payments=payments, changes_subscriptions=every, asks_all=every)
        case unknown:
            raise UnknownObject(f"No code handles objects of the kind {str(unknown)[:64]!r}.")


# -- at a glance


def at_first_glance(listed: Payload, referred: References, tenant_id: str) -> list[Identity]:
    """The entities that tell whether a listed object differs from the table. `referred`: its `references`.

    Fewer are needed than to change anything, and fewer than the object names. The entity itself shows whether it
    differs. What follows from it shows like this:

    - A tenant's status follows from one of its subscriptions, the current one, which comes first in an order of all of
      them (`tenancy.current`). So each subscription needs to be compared only with the current one. If another one
      came first, it would differ when it is compared itself.
    - Only the first invoice of a subscription settles its checkout, once it is paid or void.
    - Why an attempt to pay an invoice failed, and that no other one is on its way, its recorded payment says. A run
      compares the payments before the invoices.
    """
    invoices = [Identity(Kind.INVOICE, one, tenant_id) for one in referred.invoices]
    payments = _payments(tenant_id, *referred.payments)
    subscriptions = _subscriptions(tenant_id, *referred.subscriptions)
    match listed["object"]:
        case "subscription":
            return [_tenant(tenant_id), *subscriptions]
        case "checkout.session":
            return [_tenant(tenant_id), *invoices, *subscriptions]
        case "payment_intent":
            return payments
        case "invoice":
            payments += _payments(tenant_id, payloads.only_intent(listed) if payloads.attempted(listed) else None)
            return [*invoices, *payments, *(subscriptions if payloads.may_settle_checkout(listed) else ())]
        case other:
            raise UnknownObject(f"No list has objects of the kind {str(other)[:64]!r}.")


def at_second_glance(listed: Payload, referred: References, account: Account) -> list[Identity]:
    """What else is needed, once the account has what `at_first_glance` named."""
    tenant_id = account.tenant.tenant_id
    if listed["object"] == "payment_intent":
        known = account.payments.get(text(listed, "id"))
        if known is None or (known.terminal and known.invoice_id):
            return []  # unknown: it differs anyway. Counted in its invoice: it is counted once
        return [Identity(Kind.INVOICE, one, tenant_id) for one in referred.invoices]
    current = account.tenant.current_subscription_id
    return [] if current in account.subscriptions else _subscriptions(tenant_id, current)


def _tenant(tenant_id: str) -> Identity:
    return Identity(Kind.TENANT, tenant_id, tenant_id)


def _subscriptions(tenant_id: str, *ids: str | None) -> list[Identity]:
    return [Identity(Kind.SUBSCRIPTION, one, tenant_id) for one in _present(*ids)]


def _payments(tenant_id: str, *ids: str | None) -> list[Identity]:
    return [Identity(Kind.PAYMENT, one, tenant_id) for one in _present(*ids)]


def _present(*values: str | None) -> tuple[str, ...]:
    return tuple(value for value in values if value)
