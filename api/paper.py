"""An accounting of disclosures on paper."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from core.clock import now

if TYPE_CHECKING:
    from fpdf import FPDF

_WIDTHS = (26, 50, 70, 34)
_NEXT_LINE: Final[dict[str, Any]] = {"new_x": "LMARGIN", "new_y": "NEXT"}


def accounting_pdf(
    patient_id: UUID,
    items: Sequence[Mapping[str, Any]],
    summed: Sequence[Mapping[str, Any]],
    proofs: bytes | None = None,
) -> bytes:
    """Return the accounting as a PDF: each disclosure with its place in the log, what was repeated, the proofs attached."""
    from fpdf import FPDF  # 35 MB of an API process, most of which never print

    page = FPDF(format="letter")
    page.set_title("Accounting of disclosures")
    page.add_page()
    page.set_font("helvetica", "B", 14)
    page.cell(text="Accounting of disclosures (45 CFR 164.528)", **_NEXT_LINE)
    page.set_font("helvetica", size=9)
    page.cell(text=f"Patient {patient_id}, as of {now():%Y-%m-%d %H:%M} UTC", **_NEXT_LINE)
    _table(
        page,
        ("Date", "Recipient", "What was disclosed", "Purpose, and place in the log"),
        map(_row, items),
    )
    page.ln(4)
    _table(page, ("Times", "Recipient", "First and last", "Purpose"), map(_sum, summed))
    if proofs:
        page.ln(4)
        words = (
            "Attached: proofs.tar. `confide audit verify proofs.tar --vkey KEY` checks each line."
        )
        page.cell(text=words, **_NEXT_LINE)
        page.embed_file(bytes=proofs, basename="proofs.tar", mime_type="application/x-tar")
    return bytes(page.output())


def _table(page: "FPDF", heading: Sequence[str], rows: Any) -> None:
    with page.table(col_widths=_WIDTHS, text_align="LEFT") as table:
        for cells in (heading, *rows):
            row = table.row()
            for cell in cells:
                row.cell(_printable(cell))


def _row(item: Mapping[str, Any]) -> Sequence[str]:
    to = item["recipient"]
    who = f"{to['name']}\n{to.get('address') or ''}".strip()
    proved = item.get("evidence")
    place = f"{item['purpose']}\n{f'leaf {proved.leaf_index}' if proved else 'not sealed yet'}"
    return f"{item['disclosed_at']:%Y-%m-%d}", who, item["description"], place


def _sum(line: Mapping[str, Any]) -> Sequence[str]:
    span = f"{line['first']:%Y-%m-%d} to {line['last']:%Y-%m-%d}"
    return str(line["times"]), line["recipient"], span, str(line["purpose"])


def _printable(text: str) -> str:
    """The fonts that every reader has know Latin-1 only."""
    return text.encode("latin-1", "replace").decode("latin-1")
