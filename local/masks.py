"""Hides secrets in a text that a person may look at, copy or show to others."""

import re
from typing import Final

_HIDDEN: Final = "•••"

# What a value looks like tells that it is secret, or the name before it does. Each pattern begins at the start of a
# word, so that no text can make the search slow.
_SECRETS: Final = re.compile(
    r"""
    (?P<kept>
        \b(?:pi|seti|cs)_\w+?_secret_                 # of a PaymentIntent, a SetupIntent, a Checkout Session
      | \bwhsec_ | \b[sr]k_(?:test|live)_ | \bv[01]=  # of webhooks, of Stripe's API, of a signature
      | \bBearer\s{1,9}
      | \b(?:client_?secret|access_token|id_token|authorization|stripe-signature)[\\"]{0,9}\s{0,9}[:=]\s{0,9}[\\"]{0,9}
    )
    (?!(?:null|Bearer)\b)[^\s"\\&,}]+
  | (?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*               # a token
    """,
    re.VERBOSE | re.IGNORECASE,
)


def masked(text: str) -> str:
    return _SECRETS.sub(lambda found: (found["kept"] or "") + _HIDDEN, text)
