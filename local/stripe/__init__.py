"""A stand-in for Stripe on this machine: state, consequences, signed webhooks."""
