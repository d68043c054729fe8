"""What a token's scope has to hold for each operation: one table, shown by the document and asked of every token that was lent.

The gate asks again, of the very thing (docs/adr/0013-scopes-cap.md). What is asked here is of no thing yet, so the refusal tells
of none, and says which scope would do.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from policies.scopes import Need
from policies.vocabulary import Action, ResourceType


@cache
def needs() -> Mapping[str, tuple[Need, ...]]:
    """Return what each operation does, by its id; nothing where it does nothing that a scope speaks of."""
    found: defaultdict[str, tuple[Need, ...]] = defaultdict(tuple)
    with Path(__file__).with_name("scopes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            actions = frozenset(map(Action, row["actions"].split()))
            found[row["operation"]] += (
                (Need(actions, ResourceType(row["resource"])),) if actions else ()
            )
    return dict(found)
