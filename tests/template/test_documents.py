"""Checks that the pages agree with each other, with the template and with the code. `make docs` checks links, too."""

import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from billing.reconcile.report import Report
from local import template
from local.template import ROOT
from tests.template.test_template import COUNTED_IN_THE_ACCESS_LOG, FUNCTIONS, PARAMETER_DEFINITIONS, RESOURCES

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
OPERATIONS = DOCS / "operations.md"
REFERENCE = DOCS / "reference.md"
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without blocks of code and without code in a line."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "code", text)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: https://docs.github.com/en/get-started/writing-on-github (section links)."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    return re.split(r"^## ", page.read_text().split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> Iterator[str]:
    """The names in code font in the first column of the tables."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split(" | ")[0])


# -- links


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), target
        assert not anchor or anchor in anchors(linked), target


@by_page
def test_a_page_of_the_site_links_only_to_the_site(page: Path) -> None:
    if DOCS not in page.parents:
        return
    for target in re.findall(r"\]\(([^)\s#]+)", prose(page)):
        assert target.startswith("https://") or DOCS in (page.parent / target).resolve().parents, target


@by_page
def test_lists_begin_after_an_empty_line(page: Path) -> None:
    """GitHub shows them as lists without it, and the site does not."""
    item = re.compile(r" *(-|\d+\.) ")
    lines = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL).splitlines()
    for before, line in pairwise(lines):
        if item.match(line):
            assert not before or before.startswith(("#", "  ", "<!--")) or item.match(before), line


def test_the_first_pages_name_every_page() -> None:
    """README.md, the first page of the site, and the list of decisions."""
    pages = {page for page in DOCS.glob("*.md") if page.name != "README.md"}
    for first in (ROOT / "README.md", DOCS / "README.md"):
        linked = {(first.parent / target).resolve() for target in re.findall(r"\]\(([^)\s#]+)", first.read_text())}
        assert pages <= linked, first
    decisions = DOCS / "decisions"
    listed = re.findall(r"^\| \d+ \| \[(.+)\]\((.+)\)", (decisions / "README.md").read_text(), re.MULTILINE)
    titles = {page.name: page.read_text().splitlines()[0][2:] for page in decisions.glob("0*.md")}
    assert {name: title for title, name in listed} == titles


def test_the_readme_is_a_landing_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 110
    assert "make demo" in text
    assert "make test" in text


# -- the tutorial


def test_the_first_change_of_the_tutorial_applies() -> None:
    patch = "".join(re.findall(r"^```diff\n(.*?)^```$", (DOCS / "tutorial.md").read_text(), re.MULTILINE | re.DOTALL))
    assert patch.count("--- a/") == 2, "the test, and the code"
    done = subprocess.run(
        ["git", "apply", "--check", "-"], cwd=ROOT, input=patch, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# -- operations


def test_every_alarm_has_a_severity_and_a_section() -> None:
    alarms = {name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::CloudWatch::Alarm"}
    rows = [line for line in section(OPERATIONS, "Alarms").splitlines() if re.match(r"\| `\w+Alarm`", line)]
    listed = [name for row in rows for name in re.findall(r"`(\w+Alarm)`", row.split(" | ")[0])]
    assert sorted(listed) == sorted(alarms)
    for row in rows:
        _, severity, _, todo = row.strip("| ").split(" | ")
        assert severity.split(",")[0] in ("night", "lasts", "morning"), row
        assert re.fullmatch(r"\[.+\]\(#.+\)", todo), row


def test_every_message_to_operators_has_its_row() -> None:
    announced = RESOURCES["OperatorRule"]["Properties"]["EventPattern"]["detail-type"]
    rows = [line for line in section(OPERATIONS, "Alarms").splitlines() if re.match(r"\| `[a-z]+\.", line)]
    assert sorted(kind for row in rows for kind in first_column(row)) == sorted(announced)


def test_every_field_of_the_report_is_explained() -> None:
    shown = Report(dry_run=False, stopped="why").shown()
    explained = list(first_column(section(OPERATIONS, "Reading a reconciliation's report").split("| `reason`")[0]))
    assert explained == list(shown)


def test_the_commands_of_the_operations_page_name_what_the_template_has() -> None:
    """`res X` is a resource, `logs X` a function or the API with its log group, `out X` an output."""
    text = OPERATIONS.read_text()
    logical_ids = set(re.findall(r"\$\(res (\w+)\)", text)) | {
        f"{name}Logs" for name in re.findall(r"logs (\w+) '", text)
    }
    for name in re.findall(r"for f in ([\w \\\n]+); do", text):
        logical_ids |= {f"{one}Function" for one in name.replace("\\", " ").split()}
    assert len(logical_ids) > 10
    schedules = {"ReconcileStripeFunctionHourly"}  # SAM makes it of the function and its event
    assert logical_ids - schedules <= RESOURCES.keys()
    assert "Hourly" in RESOURCES["ReconcileStripeFunction"]["Properties"]["Events"]
    outputs = set(re.findall(r"\$\(out (\w+)\)", text))
    assert outputs
    assert outputs <= template.raw()["Outputs"].keys()


# -- the reference


def test_the_reference_lists_the_parameters() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", section(REFERENCE, "Parameters"), re.MULTILINE)
    defaults = {
        name: "none" if "Default" not in given else f"`{given['Default']}`" if given["Default"] != "" else "empty"
        for name, given in PARAMETER_DEFINITIONS.items()
    }
    assert dict(rows) == defaults


def test_the_reference_lists_the_environment() -> None:
    used = {name for function in FUNCTIONS for name in function.environment}
    assert set(first_column(section(REFERENCE, "Environment variables"))) == used


def test_the_reference_lists_the_outputs() -> None:
    assert set(first_column(section(REFERENCE, "Outputs"))) == template.raw()["Outputs"].keys()


def test_the_reference_lists_the_functions() -> None:
    rows = re.findall(r"^\| (`.+`) \| .+ \| (\d+) s \|$", section(REFERENCE, "Functions"), re.MULTILINE)
    listed = {name: int(seconds) for names, seconds in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == {function.name: function.timeout for function in FUNCTIONS}


def test_the_reference_lists_the_metrics() -> None:
    source = "".join(path.read_text() for path in (ROOT / "layers" / "billing" / "billing").rglob("*.py"))
    named = set(re.findall(r'add_metric\("(\w+)"', source)) | set(re.findall(r'"(Reconciliation\w+)":', source))
    assert named | COUNTED_IN_THE_ACCESS_LOG <= set(first_column(section(REFERENCE, "Metrics")))
