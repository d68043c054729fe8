"""`python -m records.audit.verifier BUNDLE [VKEY]`: check a bundle where there is no Confide but this package."""

import json
import sys
from pathlib import Path

from core.transparency.notes import Key
from records.audit.verifier.bundle import verify

_, path, *vkey = sys.argv
report = verify(Path(path), Key.parse(Path(vkey[0]).read_text()) if vkey else None)
sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
raise SystemExit(int(report.verdict))
