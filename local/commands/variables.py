"""The variables of a command, such as `make weather COPIES=2`.

make puts the variables of its command line into the environment, from where the commands read the values. The Makefile
gives the names again as arguments. So a command can refuse a variable that it does not know, and need not know what
else is in the environment.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Final

# The Makefile's own variables, and the folder of the stack, which `local/tokens.py` reads.
_OF_ALL: Final = frozenset({"BIN", "PYTHON", "STACK_STATE"})
_YES: Final = ("true", "1", "yes")
_NO: Final = ("", "false", "0", "no")


class Variables:
    """Every method raises `SystemExit` with a sentence, and so does the constructor for a name that is not in `takes`.

    A variable without a value is as good as none.
    """

    def __init__(
        self, command: str, takes: str, given: Iterable[str], environment: Mapping[str, str] = os.environ
    ) -> None:
        """`takes`: the names, separated by spaces. `given`: the names on make's command line."""
        self._command = command
        self._environment = environment
        unknown = sorted(set(given) - set(takes.split()) - _OF_ALL)
        if unknown:
            known = ", ".join(takes.split()) or "no variables"
            raise SystemExit(f"{command} knows no {' and no '.join(unknown)}; it takes {known}.")

    def text(self, name: str) -> str:
        return self._environment.get(name, "")

    def needed(self, name: str, example: str) -> str:
        value = self.text(name)
        if not value:
            raise SystemExit(f"{self._command} needs {name}, such as `make {self._command} {name}={example}`.")
        return value

    def number(self, name: str, otherwise: float, most: float, meaning: str) -> float:
        """A number from 0 to `most`. `meaning` says what it is, such as "a number of days"."""
        text = self.text(name)
        try:
            number = float(text) if text else otherwise
        except ValueError:
            number = -1
        if not 0 <= number <= most:
            raise SystemExit(f"{name} is {meaning} from 0 to {most:g}, not {text}.")
        return number

    def whole(self, name: str, otherwise: int, least: int, most: int) -> int:
        text = self.text(name)
        number = int(text) if text.isdecimal() else otherwise
        if text and not (text.isdecimal() and least <= number <= most):
            raise SystemExit(f"{name} is a whole number from {least} to {most}, not {text}.")
        return number

    def flag(self, name: str) -> bool:
        text = self.text(name).lower()
        if text not in (*_YES, *_NO):
            raise SystemExit(f"{name} is true or false, not {text}.")
        return text in _YES
