"""POST /api/v1/billing/stripe/webhook (called by Stripe: authenticated by its signature, not by a token)"""

from billing import bootstrap, http
from billing.deadline import LambdaContext
from billing.webhook import delivery


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    signature = http.header(event, "Stripe-Signature")
    receipt = delivery.accept(bootstrap.table(), bootstrap.secrets(), bootstrap.fetch, http.raw_body(event), signature)
    return http.ok({"received": True, "status": receipt.record.status, "duplicate": receipt.duplicate})
