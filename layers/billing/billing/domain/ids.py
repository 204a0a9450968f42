"""Ids of tenants, plans and invoices are opaque: 1-64 characters of `A-Z a-z 0-9 _ -`."""

import re
from typing import Final

PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
# The gateway turns every claim into text. A claim that was null or a boolean becomes one of these, and names no tenant.
_NO_TENANTS: Final = frozenset({"None", "null", "true", "false"})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_tenant_id(value: object) -> bool:
    return is_id(value) and value not in _NO_TENANTS
