"""Of a reconciliation."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictBool, StrictInt

from billing.edge.parameters import Parameters


def _boolean(value: object) -> object:
    """The boolean in a query string's text. Anything else stays as it is."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Flag = Annotated[StrictBool, BeforeValidator(_boolean)]


class Reconcile(Parameters):
    """`dry_run`: writes nothing and only reports."""

    dry_run: Flag = False


class Reconciling(Reconcile):
    """What the function itself gets. `continued`: how many runs did a part of the work before this one."""

    continued: Annotated[StrictInt, Field(ge=0)] = 0
