"""The local stack: the gateway, the functions, and stand-ins for AWS and Stripe. It is never deployed."""
