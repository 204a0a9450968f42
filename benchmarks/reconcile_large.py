"""Simulates the reconciliation of a large account from what `benchmarks.reconcile` measured.

    python -m benchmarks.reconcile_large --quiet 0.29 --careful 5.9

The pace of the calls of Stripe, the number of readers, the sizes of pages and the time of a run are those of the code.
What is not measured is named: how long Stripe takes, and how much slower Lambda's processor is than this one.
"""

import argparse
import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from billing.adapters import stripe_api
from billing.reconcile.readers import CALLS_PER_SECOND, READERS
from billing.replica import sync
from local.template import raw

TIMEOUT = raw()["Resources"]["ReconcileStripeFunction"]["Properties"]["Timeout"]


@dataclass(frozen=True)
class Account:
    """`in_dunning`: the share of tenants with an open invoice whose payment failed. `waiting`: the share with one whose
    payment waits for the bank or the customer, so that Stripe is asked for it. `sold`: the share that began within the
    last 35 days, by a checkout; as many checkouts expired.
    """

    tenants: int = 1_000_000
    in_dunning: float = 0.02
    waiting: float = 0.005
    sold: float = 0.03

    @property
    def lists(self) -> Iterator[tuple[str, int, int, int, int]]:
        """The name of each list, its objects, those of them that are looked at with care, those for which Stripe is
        asked, and the objects of a page.
        """
        month = self.tenants * 35 // 30  # what a renewal each month makes in 35 days
        waiting, sold = int(self.tenants * self.waiting), int(self.tenants * self.sold)
        unpaid = waiting + int(self.tenants * self.in_dunning)
        yield "checkouts", 2 * sold, sold, 0, stripe_api.PAGE
        yield "subscriptions", self.tenants, 0, 0, stripe_api.PAGE
        yield "payments", month, 0, 0, stripe_api.EXPANDED_PAGE
        yield "open invoices", unpaid, waiting, waiting, stripe_api.EXPANDED_PAGE
        yield "invoices", month, 0, 0, stripe_api.EXPANDED_PAGE


@dataclass
class Simulation:
    """One processor, READERS readers and Stripe's pace; seconds. What is read is worked on one after the other, because
    Python uses one processor. A run ends before its time is over and begins anew, and what was being read then is lost.
    """

    quiet: float  # of the processor, for an object that does not differ
    careful: float  # of the processor, for one that is looked at with care
    stripe: float  # that Stripe takes for a page, or for an object
    table: float  # that the table takes for a page
    run: float = TIMEOUT - sync.NEEDED_SECONDS
    begin: float = 3.0  # of a run: the start of a process, and the newest events
    calls: int = 0
    runs: int = 1
    now: float = 0.0
    busy: float = 0.0
    _slot: float = 0.0
    _ends: float = 0.0

    def go(self, account: Account) -> Iterator[tuple[str, float, int]]:
        """For each list its name, the seconds and the calls of Stripe."""
        self._begin()
        for name, objects, careful, asked, page in account.lists:
            began, calls = self.now, self.calls
            self._walk(-(-objects // page), page, careful / max(1, objects), asked / max(1, objects))
            yield name, self.now - began, self.calls - calls

    def _begin(self) -> None:
        self.now += self.begin
        self._ends = self.now + self.run

    def _walk(self, pages: int, size: int, share: float, asked: float) -> None:
        readers, processor = [self.now], self.now
        while pages:
            read = self._called(heapq.heappop(readers)) + self.stripe + self.table
            work = size * ((1 - share) * self.quiet + share * self.careful)
            processor = max(processor, read) + work
            self.busy += work
            # What is looked at with care is asked for by all readers together.
            for _ in range(round(size * asked)):
                processor = max(processor, self._called(processor - self.stripe) + self.stripe)
            self.now = max(self.now, processor)
            pages -= 1
            if self.now > self._ends:
                pages += len(readers)
                self.runs += 1
                self._begin()
                readers, processor = [self.now] * (len(readers) + 1), self.now
                continue
            # Each page makes room for one more span, until all readers have one.
            for _ in range(1 if len(readers) + 1 >= READERS else 2):
                heapq.heappush(readers, processor)

    def _called(self, at: float) -> float:
        self.calls += 1
        self._slot = max(self._slot, at) + 1 / CALLS_PER_SECOND
        return self._slot


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates the reconciliation of a large account.")
    parser.add_argument("--tenants", type=int, default=1_000_000)
    parser.add_argument("--quiet", type=float, default=0.29, help="CPU ms for an object that does not differ")
    parser.add_argument("--careful", type=float, default=5.9, help="CPU ms for an object that is repaired")
    parser.add_argument("--stripe", type=float, default=0.5, help="seconds that Stripe takes for a page or an object")
    parser.add_argument("--slower", type=float, default=1.5, help="Lambda's processor beside this one")
    asked = parser.parse_args()
    ms = asked.slower / 1000
    simulation = Simulation(asked.quiet * ms, asked.careful * ms, asked.stripe, table=0.04)
    print("list | seconds | calls of Stripe")
    for name, seconds, calls in simulation.go(Account(asked.tenants)):
        print(name, f"{seconds:.0f}", calls, sep=" | ")
    print("all", f"{simulation.now:.0f}", simulation.calls, sep=" | ")
    print(f"{simulation.runs} runs; the processor is busy for {simulation.busy / simulation.now:.0%} of the time")


if __name__ == "__main__":
    main()
