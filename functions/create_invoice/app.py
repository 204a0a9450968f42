"""POST /api/v1/billing/tenants/{tenantId}/invoices (admin)"""

from billing import bootstrap, http, invoices
from billing.deadline import LambdaContext
from billing.parameters import CreateInvoice


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    caller.administer()
    wanted = http.parse(event, CreateInvoice)
    invoice, created = invoices.create(bootstrap.table(), wanted)
    return http.ok(invoice, status=201 if created else 200)
