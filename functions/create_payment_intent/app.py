"""POST /api/v1/billing/invoices/{invoiceId}/payment-intent"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters import PayInvoice
from billing.pay.payment_intents import PaymentIntents


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    request = http.parse(event, PayInvoice)
    caller = http.caller(event, bootstrap.settings())
    secret = PaymentIntents(bootstrap.table(), bootstrap.stripe()).client_secret(caller, request)
    return http.ok({"clientSecret": secret})
