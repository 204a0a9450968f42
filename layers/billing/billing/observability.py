"""The logger and the metrics of every function. Logs are JSON. They hold ids, and never secrets, cards or addresses."""

from typing import Final

from aws_lambda_powertools import Logger, Metrics

NAMESPACE: Final = "Billing"

logger = Logger(service="billing", serialize_stacktrace=False)
metrics = Metrics(namespace=NAMESPACE, service="billing")
