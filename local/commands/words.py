"""Words for people."""


def counted(number: float, noun: str) -> str:
    """`1 day`, `2 days`, `0.5 days`."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"
