"""The SDK's HTTP client, over urllib3: as its own `RequestsClient`, without requests, which costs 60 ms of a start.

What the two do differently: this one follows no redirect, reads no .netrc, and takes its connections from one pool for
all threads. Equal are the time limits, the authorities (the SDK's own), the proxies of the environment, and which
failures the SDK repeats.
"""

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import stripe
import urllib3
from urllib3.exceptions import HTTPError, SSLError
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util.ssl_ import create_urllib3_context

_CONNECTIONS: Final = 20  # that are kept: reconciliation has one for each reader
_HEADERS: Final = {"Accept-Encoding": "gzip, deflate"}


class Urllib3Client(stripe.HTTPClient):
    """Raises `stripe.APIConnectionError`. `connect` and `read` are seconds: to connect, and for each part of an answer.

    It holds no key, and connects at the first request. So it may be made before a process is frozen.
    """

    name = "urllib3"

    def __init__(self, connect: float, read: float) -> None:
        super().__init__()
        self._limits = urllib3.Timeout(connect=connect, read=read)
        # One for all connections: to load the authorities takes 14 ms.
        self._context = create_urllib3_context()
        self._context.load_verify_locations(stripe.ca_bundle_path)
        self._pools: dict[str | None, urllib3.PoolManager] = {}

    def request(  # type: ignore[override] # the SDK's own clients return bytes too
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = self._pool(url).request(
                method,
                url,
                body=post_data,
                headers={**_HEADERS, **(headers or {})},
                timeout=self._limits,
                retries=False,  # redirects neither
                preload_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            # SSLError: the certificate is another's. ValueError: the request itself is wrong.
            raise _failed(error, again=not isinstance(error, SSLError | ValueError)) from error
        try:
            return answer.data, answer.status, answer.headers
        except (HTTPError, OSError) as error:
            raise _failed(error, again=isinstance(error, TimedOut)) from error

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: str) -> urllib3.PoolManager:
        """For the proxy that the environment names for this address, or for none."""
        proxy = _proxy(url)
        if proxy not in self._pools:
            self._pools[proxy] = self._connections(proxy)
        return self._pools[proxy]

    def _connections(self, proxy: str | None) -> urllib3.PoolManager:
        if proxy is None:
            return urllib3.PoolManager(maxsize=_CONNECTIONS, ssl_context=self._context)
        named = urlsplit(proxy)
        user = f"{unquote(named.username)}:{unquote(named.password or '')}" if named.username else None
        headers = urllib3.make_headers(proxy_basic_auth=user)
        return urllib3.ProxyManager(proxy, maxsize=_CONNECTIONS, ssl_context=self._context, proxy_headers=headers)


def _proxy(url: str) -> str | None:
    """As Python's own `urllib` reads HTTPS_PROXY, ALL_PROXY, NO_PROXY and the like."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - few have a proxy

    address = urlsplit(url)
    proxies = getproxies()
    named = proxies.get(address.scheme) or proxies.get("all")
    if not named or proxy_bypass(address.netloc):
        return None
    return named if "://" in named else f"http://{named}"


def _failed(error: Exception, *, again: bool) -> stripe.APIConnectionError:
    """`again`: whether the SDK may repeat the request, if it has repetitions left."""
    return stripe.APIConnectionError(f"{type(error).__name__}: {error}", should_retry=again)  # type: ignore[no-untyped-call]
