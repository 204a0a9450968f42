"""The set-up of Stripe as code: `make stripe-setup`."""
