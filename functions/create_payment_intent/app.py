"""POST /api/v1/billing/invoices/{invoiceId}/payment-intent"""

from billing import bootstrap, http, invoice_payment
from billing.deadline import LambdaContext
from billing.parameters import PayInvoice


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    wanted = http.parse(event, PayInvoice)
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    secret = invoice_payment.client_secret(bootstrap.table(), bootstrap.stripe(), caller, wanted)
    return http.ok({"clientSecret": secret})
