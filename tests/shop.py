"""A small shop at the stand-in, and what stands on its pages."""

import html
import re

import requests

from local.stripe.account import Account
from local.stripe.engine import invoices, lines, payments, periods, sessions, subscriptions
from local.stripe.engine.store import DAY, Object

APP = "http://127.0.0.1:8087/"


class Shop:
    """A customer with the plan Starter, who may change to Pro or to a year of Pro in the portal."""

    def __init__(self, account: Account, address: str) -> None:
        self.account, self.store, self.address = account, account.store, address
        self.starter, self.pro = self.price("Starter", 1900), self.price("Pro", 4900)
        self.year = self.price("Pro for a year", 49000, "year")
        self.customer = self.store.create("customer", email="a@example.com")
        self.subscription = self.subscribe(self.customer, self.starter)

    def price(self, name: str, amount: int, interval: str = "month") -> Object:
        product = self.store.create("product", name=name)["id"]
        every = {"interval": interval, "interval_count": 1}
        known = {"unit_amount": amount, "currency": "usd", "active": True, "type": "recurring", "recurring": every}
        return self.store.create("price", product=product, **known)

    def subscribe(self, customer: Object, price: Object, card: str = "pm_card_visa", quantity: int = 1) -> Object:
        made = subscriptions.create_subscription(self.store, customer["id"], price, {}, quantity=quantity)
        made["default_payment_method"] = payments.payment_method(self.store, card, customer["id"])["id"]
        return periods.begin(self.store, made)

    def half_a_month_passes(self) -> None:
        """The clock stands still then, so a moment between a page and its answer changes no amount."""
        moment = self.store.now() + 15 * DAY
        self.store.clock = lambda: moment

    def portal(self, behavior: str = "always_invoice", *waiting: str) -> str:
        prices = (self.starter, self.pro, self.year)
        update = {
            "enabled": True,
            "proration_behavior": behavior,
            "products": [{"product": one["product"], "prices": [one["id"]]} for one in prices],
            "schedule_at_period_end": {"conditions": [{"type": one} for one in waiting]},
        }
        names = ("subscription_cancel", "payment_method_update", "invoice_history")
        features = {"subscription_update": update, **{name: {"enabled": True} for name in names}}
        kept = self.store.create("billing_portal.configuration", is_default=False, features=features)
        known = {"configuration": kept["id"], "customer": self.customer["id"], "return_url": APP}
        return f"{self.address}/p/session/{self.store.create('billing_portal.session', **known)['id']}"

    def of(self, portal: str, what: str) -> str:
        return f"{portal}/subscriptions/{self.subscription['id']}/{what}"

    def checkout(self) -> Object:
        form = {"mode": "subscription", "success_url": f"{APP}?done", "cancel_url": APP}
        return sessions.open_session(self.store, form, [(self.pro, 1)])

    def intent(self) -> Object:
        return payments.create_intent(self.store, 25000, "usd", customer=self.customer["id"])

    def invoice(self, amount: int = 25000) -> Object:
        lines.pend(self.store, self.customer["id"], amount, "usd")
        return invoices.finalize(self.store, invoices.create_draft(self.store, self.customer["id"], "manual"))


def get(url: str, **query: str) -> str:
    return requests.get(url, query, timeout=600).text


def post(url: str, **form: str) -> str:
    return requests.post(url, form, timeout=600).text


def said(text: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'role="status">([^<]*)<', text)]


def rows(text: str) -> list[tuple[str, ...]]:
    """The lines of sums on a page."""
    return [
        tuple(map(html.unescape, row)) for row in re.findall(r'<dt>([^<]*)</dt><dd class="money">([^<]*)</dd>', text)
    ]


def back(text: str) -> list[str]:
    """Where the links of a page lead, without those of its head."""
    links: list[str] = re.findall(r'<a class="(?:small|button|button plain)" href="([^"]*)"', text)
    return [html.unescape(link) for link in links]
