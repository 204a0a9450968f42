"""Billing edge of a multi-tenant SaaS platform: Stripe Checkout, Customer Portal, PaymentIntents and webhooks."""
