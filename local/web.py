"""Makes web pages from `local/templates` and `local/static`. They need no build step and no network."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import NotFound
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

_HERE: Final = Path(__file__).resolve().parent
_ZERO_DECIMAL: Final = {"jpy", "krw", "vnd", "clp", "xaf", "xof"}

# The pages are for a browser on this machine. No other site may show them in a frame or give them scripts.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def money(amount: int, currency: str) -> str:
    """Turns an amount in minor units into the form that people write: `49.00 USD`."""
    digits = 0 if currency.lower() in _ZERO_DECIMAL else 2
    return f"{amount / 10**digits:,.{digits}f} {currency.upper()}"


def day(moment: float) -> str:
    """Turns seconds since the epoch into a UTC date."""
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %Y")


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y %H:%M:%S")


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"money": money, "day": day, "moment": moment, "compact": compact}


def page(template: str, status: int = 200, **values: Any) -> Response:
    text = _environment.get_template(template).render(**values)
    return Response(text, status, _HEADERS, content_type="text/html; charset=utf-8")


def static(request: Request) -> Response:
    """Answers with a file of `local/static`. Raises `NotFound`."""
    name = request.path.removeprefix("/static/")
    if name == request.path:
        raise NotFound
    response = send_from_directory(_HERE / "static", name, request.environ)
    response.headers["Cache-Control"] = "no-cache"
    return Response(response.response, response.status, response.headers, direct_passthrough=True)
