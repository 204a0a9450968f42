"""The local stack: gateway, functions, AWS and Stripe stand-ins. Never deployed."""
