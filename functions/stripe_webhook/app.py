"""POST /api/v1/billing/stripe/webhook (called by Stripe, which authenticates by its signature, not by a token)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.inbox.delivery import Deliveries

bootstrap.prepare()


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    signature = http.header(event, "Stripe-Signature")
    receipt = Deliveries(bootstrap.secrets(), bootstrap.inbox()).accept(http.raw_body(event), signature)
    return http.ok({"received": True, "status": receipt.record.status, "duplicate": receipt.duplicate})
