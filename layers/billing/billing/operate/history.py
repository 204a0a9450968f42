"""What changed in a tenant's billing, when, and by which event of Stripe."""

from dataclasses import dataclass
from typing import Any, Final

from billing.adapters.table import pages
from billing.adapters.table.store import Table
from billing.domain.caller import Caller
from billing.edge.parameters.operate import GetTenantHistory

_SHOWN: Final = "at entity entityId revision changes eventId".split()


@dataclass(frozen=True)
class History:
    table: Table

    def page(self, caller: Caller, request: GetTenantHistory) -> dict[str, Any]:
        """`{"history": [{at, entity, entityId, revision, changes, eventId?}…], "cursor": "…"}`, newest first.

        `changes` is field -> `{from?, to?}`. Without `from` the field did not exist before, without `to` it does not
        exist now. The last page has no cursor. Raises `Forbidden`, `BadRequest`.
        """
        caller.act_for(request.tenant_id)
        found, cursor = self.table.page(pages.changes(request.tenant_id), request.limit, request.cursor)
        shown = [{name: item[name] for name in _SHOWN if name in item} for item in found]
        return {"history": shown} | ({"cursor": cursor} if cursor else {})
