"""Clearances: up to which confidentiality somebody reads, and which categories besides."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from policies.vocabulary import Category, Role, Sensitivity

LABELS: Final = frozenset[str]({*Sensitivity, *Category})
"""Everything a clearance may name."""

_RISING: Final = list(Sensitivity)
_USUAL: Final[Mapping[Role, Sensitivity]] = {
    Role.DOCTOR: Sensitivity.VERY_RESTRICTED,
    Role.PATIENT: Sensitivity.VERY_RESTRICTED,
}
"""What a role is cleared for when its account does not say; all others for what is normal."""


def cleared(roles: Iterable[Role], granted: Collection[str] | None) -> frozenset[str]:
    """Return what an account with these roles is cleared for: what it was granted, or else what is usual.

    A higher confidentiality includes the lower ones. A category is never usual.
    """
    if granted is None:
        granted = {_USUAL.get(role, Sensitivity.NORMAL) for role in roles}
    highest = max((_RISING.index(Sensitivity(g)) for g in granted if g in _RISING), default=0)
    return frozenset({*granted, *_RISING[: highest + 1]})
