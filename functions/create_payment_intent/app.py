"""POST /api/v1/billing/invoices/{invoiceId}/payment-intent"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.pay import PayInvoice
from billing.pay.payment_intents import PaymentIntents

bootstrap.prepare("payment_intents")


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    request = http.parse(event, PayInvoice)
    caller = http.caller(event, bootstrap.settings())
    payments = PaymentIntents(bootstrap.table(), bootstrap.stripe(), bootstrap.rate_limit())
    return http.ok({"clientSecret": payments.client_secret(caller, request)})
