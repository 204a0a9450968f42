"""POST /api/v1/billing/tenants/{tenantId}/invoices (admin)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.pay import CreateInvoice
from billing.pay.own_invoices import OwnInvoices

bootstrap.prepare()


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings())
    caller.administer()
    request = http.parse(event, CreateInvoice, idempotencyKey=http.header(event, "Idempotency-Key"))
    invoice, created = OwnInvoices(bootstrap.table()).create(request)
    return http.ok(invoice, status=201 if created else 200)
