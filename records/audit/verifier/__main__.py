"""`python -m records.audit.verifier BUNDLE [VKEY]`: check a bundle where there is no Confide but this package."""

import json
import sys
from pathlib import Path

from core.transparency.notes import Key
from records.audit.verifier.bundle import verify
from records.audit.verifier.findings import Verdict

_, path, *vkey = sys.argv
try:
    report = verify(Path(path), Key.parse(Path(vkey[0]).read_text()) if vkey else None)
except (ValueError, OSError) as reason:  # what cannot be examined is not thereby tampered with
    sys.stderr.write(f"not examined: {reason}\n")
    raise SystemExit(int(Verdict.INCOMPLETE)) from None
sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
raise SystemExit(int(report.verdict))
