"""The logger and the metrics of every function. Logs are JSON. They hold ids, and never secrets, cards or addresses."""

import os
from typing import Final

from aws_lambda_powertools import Logger, Metrics

NAMESPACE: Final = "Billing"

# The stack's name, so that one stage's metrics and logs are not taken for another's.
_SERVICE: Final = os.environ.get("POWERTOOLS_SERVICE_NAME") or "billing"

logger = Logger(service=_SERVICE, serialize_stacktrace=False)
metrics = Metrics(namespace=NAMESPACE, service=_SERVICE)
