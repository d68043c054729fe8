"""docs/errors.md: every problem code, with what to do about it."""

from typing import Final

from api.docgen.markdown import page as whole
from api.docgen.markdown import table
from api.problems import Explained, catalogue
from policies.grammar import REFUSALS

_INTRODUCTION: Final = """
Every refusal outside `/oauth` is `application/problem+json` (RFC 9457). Its `type` is `/problems/<code>`: a page of the
running service that says what stands here. Switch on `code`; `detail` is for people and may change. `errors[]` points at
fields (`pointer`, `code`, `message`); a refused value is never repeated. `request_id` finds the request in the logs and
in the audit trail. `/oauth` answers in the form of RFC 6749 instead (`error`, `error_description`).

Some codes are the command line's: it prints them in brackets and ends with exit code 1.
"""
_CONDITIONS: Final = """
These stand in `errors[]` when a rule's condition is refused, with the position of the fault.
"""


def page() -> str:
    """Return the page."""
    known = list(catalogue().values())
    rows = [(f"[`{e.code}`](#{e.code})", e.status, e.title) for e in known]
    conditions = [(f"`{code}`", text) for code, text in sorted(REFUSALS.items())]
    return whole(
        "Errors",
        _INTRODUCTION,
        table(("code", "status", "title"), rows),
        *map(_section, known),
        "## Codes of conditions",
        _CONDITIONS,
        table(("code", "meaning"), conditions),
    )


def _section(of: Explained) -> str:
    return f"## {of.code}\n\n{of.status}, *{of.title}*. {of.meaning}\n\n**What to do:** {of.remedy}"
