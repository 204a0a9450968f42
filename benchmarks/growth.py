"""Does an event cost more when there is more? With up to 100,000 tenants, and with 1 to 500 subscriptions of a tenant.

make bench, or: python -m benchmarks.growth [TENANTS]
"""

import io
import json
import sys
from contextlib import redirect_stdout
from itertools import count
from typing import Any

from benchmarks import ground
from benchmarks.measure import Figures, low, machine, show
from benchmarks.webhook import accepted
from billing import bootstrap, clock
from billing.adapters.table import items, keys
from billing.domain import tenancy
from billing.domain.entities import Entity, Subscription, Tenant
from billing.observability import logger
from local.commands.sign import delivery

TENANTS = 100_000
ENDED = (1, 10, 100, 500)
LIVES = 10  # that are measured at each size

_names = count()


def main(most: int) -> None:
    with ground.standing(), redirect_stdout(io.StringIO()) as log:
        logger.registered_handler.setStream(log)  # type: ignore[attr-defined]
        handler = ground.webhook()
        ground.add_plan(bootstrap.table())
        for _ in range(3):
            _live(handler, 0, Figures())
        rows, there = [], 0
        for size in [10**n for n in range(1, 7) if 10**n <= most]:
            _fill(there, size)
            there = size
            rows.append(_row(handler, f"{size:,} tenants", 0))
        rows += [_row(handler, f"{ended} ended subscriptions", ended) for ended in ENDED]
    show(f"Growth: ms an event. {machine()}", ["cpu, low", "wall, low"], rows)


def _row(handler: Any, name: str, ended: int) -> list[str]:
    figures = Figures()
    for _ in range(LIVES):
        _live(handler, ended, figures)
    return [name, f"{low(figures.cpu):.2f}", f"{low(figures.wall):.2f}"]


def _live(handler: Any, ended: int, into: Figures) -> None:
    """The life of a new tenant, who had so many subscriptions before."""
    name = f"g{next(_names)}"
    ground.add_tenant(bootstrap.table(), name)
    if ended:
        _had(name, ended)
    for event in ground.life(name):
        sent = delivery(json.dumps(event).encode(), ground.WEBHOOK_SECRET, clock.seconds())
        into.run(lambda sent=sent: accepted(handler, sent))  # type: ignore[misc]


def _had(name: str, ended: int) -> None:
    table = bootstrap.table()
    had = [
        Subscription(
            tenant_id=name,
            stripe_subscription_id=f"sub_{name}before{n}",
            stripe_customer_id=f"cus_{name}",
            status="canceled",
            started_at=f"2025-01-{n % 28 + 1:02d}T00:00:00Z",
            revision=1,
        )
        for n in range(ended)
    ]
    table.remember(map(_stored, had))
    tenant = table.tenant(name)
    if tenant:
        table.write([tenancy.with_list(tenant, had)])


def _fill(there: int, size: int) -> None:
    bootstrap.table().remember(_stored(Tenant(tenant_id=f"other{n}", revision=1)) for n in range(there, size))


def _stored(entity: Entity) -> items.Item:
    return items.attributes(entity) | keys.of(entity.identity)._asdict()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TENANTS)
