"""Sets up Stripe from code: `make stripe-setup`."""
