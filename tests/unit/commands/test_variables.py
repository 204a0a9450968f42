"""The variables of a command: what it does not know or cannot read is refused in a sentence."""

from collections.abc import Callable

import pytest

from local.commands.variables import Variables


def variables(**environment: str) -> Variables:
    return Variables("weather", "COPIES LATE LOST SHUFFLED", environment, environment)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(SystemExit) as refused:
        act()
    return str(refused.value)


def test_unknown_names() -> None:
    assert refusal(lambda: variables(COPY="2")) == "weather knows no COPY; it takes COPIES, LATE, LOST, SHUFFLED."
    assert refusal(lambda: variables(COPY="2", A="")).startswith("weather knows no A and no COPY; it takes ")
    assert refusal(lambda: Variables("roll-secret", "", ["N"], {})) == "roll-secret knows no N; it takes no variables."


def test_names_of_the_environment_alone_are_not_refused() -> None:
    assert Variables("weather", "COPIES", [], {"COPY": "2", "COPIES": "3"}).whole("COPIES", 1, 1, 9) == 3


def test_the_makefiles_own_variables() -> None:
    variables(BIN="bin", PYTHON="python3.13", STACK_STATE="folder")


@pytest.mark.parametrize("text", ["2", "-0.1", "abc", "nan", "inf", "1e400", " "])
def test_wrong_numbers(text: str) -> None:
    said = refusal(lambda: variables(LOST=text).number("LOST", 0, 1, "a share"))
    assert said == f"LOST is a share from 0 to 1, not {text}."


@pytest.mark.parametrize(("text", "number"), [("", 0.25), ("0", 0), ("1", 1), ("0.5", 0.5)])
def test_numbers(text: str, number: float) -> None:
    assert variables(LOST=text).number("LOST", 0.25, 1, "a share") == number


@pytest.mark.parametrize("text", ["0", "101", "2.5", "-1", "x", "²"])
def test_wrong_whole_numbers(text: str) -> None:
    said = refusal(lambda: variables(COPIES=text).whole("COPIES", 1, 1, 100))
    assert said == f"COPIES is a whole number from 1 to 100, not {text}."


@pytest.mark.parametrize(("text", "number"), [("", 7), ("1", 1), ("100", 100)])
def test_whole_numbers(text: str, number: int) -> None:
    assert variables(COPIES=text).whole("COPIES", 7, 1, 100) == number


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("true", True), ("Yes", True), ("", False), ("0", False), ("false", False)]
)
def test_flags(text: str, on: bool) -> None:
    assert variables(SHUFFLED=text).flag("SHUFFLED") is on


def test_wrong_flags() -> None:
    assert refusal(lambda: variables(SHUFFLED="maybe").flag("SHUFFLED")) == "SHUFFLED is true or false, not maybe."


def test_what_a_command_cannot_do_without() -> None:
    said = refusal(lambda: Variables("show", "TENANT", [], {"TENANT": ""}).needed("TENANT", "550e8400"))
    assert said == "show needs TENANT, such as `make show TENANT=550e8400`."
