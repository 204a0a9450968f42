"""Says in words what a tenant's items hold."""

from typing import Final

from rich.table import Table as Grid

from local.account import Item, Items
from local.web import money

_SHORT: Final = 16

_GOOD: Final = {"ACTIVE", "active", "PAID", "SUCCEEDED", "trialing"}
_BAD: Final = {"OVERDUE", "FAILED", "past_due", "CANCELED", "canceled", "SUSPENDED"}


def fields(kind: str, item: Item) -> dict[str, str]:
    """What people see of an item: name of the field -> text. The first field is `status`; empty ones are left out."""
    match kind:
        case "TENANT":
            shown = {"customer": item.get("stripeCustomerId", "")}
        case "SUBSCRIPTION":
            until = item.get("currentPeriodEnd", "")[:10]
            shown = {"plan": item.get("planId", "?"), "until": until and f"until {until}"}
        case "INVOICE":
            currency, attempts = item["currency"], item["attemptCount"]
            paid = money(item["amountPaid"], currency).removesuffix(f" {currency.upper()}")
            shown = {
                "paid": f"{paid} of {money(item['amountDue'], currency)}",
                "attempts": attempts and f"attempt {attempts}",
            }
        case _:
            paid_for = f"for {_short(item.get('invoiceId', '?'))}"
            shown = {"amount": money(item["amount"], item["currency"]), "what": item.get("failureCode") or paid_for}
    return {name: text for name, text in {"status": item["status"], **shown}.items() if text}


def label(kind: str, item: Item) -> tuple[str, str]:
    """The kind and the id of an item, as people see them."""
    of = {"TENANT": "tenantId", "SUBSCRIPTION": "stripeSubscriptionId", "INVOICE": "invoiceId"}
    return kind.lower(), _short(item[of.get(kind, "stripePaymentIntentId")])


def grid(account: Items) -> Grid:
    """The whole account as a table. It fits into 80 columns, unless a plan's id or an amount is very long."""
    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in ("", "kind", "id", "status", ""):
        grid.add_column(column, no_wrap=True)
    for kind, group in account.items():
        for item in group:
            status, *more = fields(kind, item).values()
            grid.add_row("", *label(kind, item), colored(status), ", ".join(more))
    return grid


def colored(status: str) -> str:
    color = "green" if status in _GOOD else "red" if status in _BAD else "yellow"
    return f"[{color}]{status}[/]"


def _short(stripe_id: str) -> str:
    return stripe_id if len(stripe_id) <= _SHORT else f"{stripe_id[:9]}…{stripe_id[-4:]}"
