"""A program that attacks the HTTP edge: `python -m tests.attack N`, or `make attack N=…`."""

from tests.attack.fuzz import Fuzz
from tests.attack.ground import Prepare
from tests.attack.neighbours import Neighbours
from tests.attack.returns import Returns
from tests.attack.signatures import Signatures
from tests.attack.tenants import Tenants
from tests.attack.tokens import Claims, Tokens

ATTACKS: dict[str, Prepare] = {
    "signatures": Signatures,
    "fuzz": Fuzz,
    "tenants": Tenants,
    "tokens": Tokens,
    "claims": Claims,
    "returns": Returns,
    "neighbours": Neighbours,
}
NODE = ("returns",)  # the attacks whose judge is node
