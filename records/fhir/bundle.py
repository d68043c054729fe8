"""A FHIR R4 bundle: its entries, and what their references lead to."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import orjson

from records.fhir.kinds import KINDS
from records.fhir.node import Broken, Node, step

TYPES: Final = frozenset({"transaction", "batch", "collection"})
_LOCAL: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")
_BY_IDENTIFIER: Final = re.compile(r"Practitioner\?identifier=([^&]+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a bundle. `url` is how others refer to it."""

    index: int
    kind: str
    resource: Node
    url: str

    @property
    def reference(self) -> str:
        """What names the resource in its own system: the same at each import."""
        found = self.resource.get("id")
        return f"{self.kind}/{found.code()}" if found else self.url


class Bundle:
    """The entries of one bundle, whole: every reference inside it leads somewhere."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._known: dict[str, Entry] = {}
        for entry in entries:
            for name in {entry.url, entry.reference} - {""}:
                if name in self._known:
                    raise Broken(f"/entry/{entry.index}/fullUrl", "duplicate")
                self._known[name] = entry

    def of(self, *kinds: str) -> Iterator[Entry]:
        """Yield the entries of some resource types, in order."""
        return (entry for entry in self.entries if entry.kind in kinds)

    def kind_of(self, holder: Node) -> str:
        """Return the type of what a Reference leads to, here or by a query elsewhere; else what it says."""
        reference = holder.optional("reference") or ""
        entry = self._known.get(reference)
        return entry.kind if entry else reference.partition("?")[0]

    def find(self, holder: Node, kind: str) -> Entry:
        """Return the entry that a Reference leads to; Broken when it is none of that type."""
        reference = holder.need("reference")
        entry = self._known.get(reference.text())
        if entry is None:
            raise reference.broken("dangling-reference")
        if entry.kind != kind:
            raise reference.broken("reference-type")
        return entry

    def practitioner(self, holder: Node) -> "Entry | str":
        """Return the Practitioner that a Reference leads to: an entry, or `system|value` of one elsewhere."""
        reference = holder.need("reference")
        elsewhere = _BY_IDENTIFIER.fullmatch(reference.text())
        return unquote(elsewhere[1]) if elsewhere else self.find(holder, "Practitioner")

    def dangling(self, entry: Entry) -> Iterator[Broken]:
        """Yield each reference of an entry that should lead to another one here, and does not."""
        contained = {
            f"#{c.value.get('id')}"
            for c in entry.resource.each("contained")
            if isinstance(c.value, dict)
        }
        for pointer, reference in _references(entry.resource.value, entry.resource.pointer):
            if reference not in self._known and _must_be_here(reference, contained):
                yield Broken(pointer, "dangling-reference")


def read_bundle(raw: bytes) -> Bundle:
    """Parse a bundle; raise Broken when it is no JSON, no bundle, or an entry holds no resource."""
    try:
        document = Node(orjson.loads(raw))
    except orjson.JSONDecodeError as error:  # its `doc` is the text itself: it ends here
        where = f"json-line-{error.lineno}-column-{error.colno}"
    else:
        return _bundle(document)
    raise Broken("", where)


def _bundle(document: Node) -> Bundle:
    if not isinstance(document.value, dict):
        raise document.broken("object")
    document.need("resourceType").one_of({"Bundle"})
    document.need("type").one_of(TYPES)
    entries = [_entry(i, node) for i, node in enumerate(document.each("entry"))]
    if not entries:
        raise Broken("/entry", "required")
    return Bundle(entries)


def _entry(index: int, node: Node) -> Entry:
    resource = node.need("resource")
    kind = resource.need("resourceType").one_of(KINDS)
    url = node.get("fullUrl")
    return Entry(index, kind, resource, url.text(500) if url else "")


def _references(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield f"{pointer}/reference", reference
        for key, item in value.items():
            yield from _references(item, pointer + step(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _references(item, pointer + step(i))


def _must_be_here(reference: str, contained: set[str]) -> bool:
    if reference.startswith("#"):
        return reference != "#" and reference not in contained
    return reference.startswith("urn:") or bool(_LOCAL.fullmatch(reference))
