"""What must be so when Stripe rests and everything has arrived."""

from typing import Final

from billing.adapters.table import items
from tests.torture import model

_BILLS_PERIOD: Final = ("subscription_create", "subscription_cycle", "subscription_update")


def differences(held: dict[str, items.Item], expected: model.Expected, *, older: bool) -> list[str]:
    """`older`: payloads of older API versions came, too. They name the invoice of a payment before it succeeds."""
    found = [f"{key} is not in the table" for key in expected.keys() - held.keys()]
    found += [f"{key} is in the table" for key in held.keys() - expected.keys()]
    for key in expected.keys() & held.keys():
        for name, value in expected[key].items():
            if name == "invoiceId" and value is None and older:
                continue
            if not name.startswith("_") and held[key].get(name) != value:
                found.append(f"{key}: {name} is {held[key].get(name)!r} and must be {value!r}")
    return found


def due_once(key: str, item: items.Item) -> list[tuple[str, str]]:
    """What must have been announced once of an item that is so now. See docs/announcements.md."""
    status = str(item.get("status"))
    match item["SK"].partition("#")[0]:
        case "SUBSCRIPTION":
            ended = status in ("canceled", "incomplete_expired")
            types = ["subscription.created", *(["subscription.canceled"] if ended else [])]
        case "INVOICE":
            renewed = item.get("billingReason") in _BILLS_PERIOD and "periodEnd" in item
            types = ["invoice.created"]
            types += {"PAID": ["invoice.paid", *(["subscription.renewed"] if renewed else [])]}.get(status, [])
            types += {"VOID": ["invoice.voided"]}.get(status, [])
        case "PAYMENT":
            types = ["payment.succeeded"] if status == "SUCCEEDED" else []
        case _:
            types = []
    return [(kind, key) for kind in types]
