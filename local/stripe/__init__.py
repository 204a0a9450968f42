"""A stand-in for Stripe on this machine: it keeps state, has the effects of Stripe, and sends signed webhooks."""
