"""A witness: it remembers the last checkpoint it vouched for, and vouches only for one that continues it."""

from collections.abc import Callable, Sequence

from core.transparency.book import Book
from core.transparency.merkle import verify_consistency
from core.transparency.notes import BadNote, Checkpoint, Key, Note, Signer


class Refused(Exception):
    """The checkpoint does not continue what was seen before: the log was cut, or rewritten."""


def cosign(
    book: Book,
    signer: Signer,
    log: Key,
    note: str,
    prove: Callable[[int, int], Sequence[bytes]],
    seconds: int,
) -> str:
    """Return the note with the witness's own signature, and put it into the book; Refused if it must not be.

    `prove(old, new)` fetches the consistency proof between two sizes.
    """
    try:
        seen, head = Note.parse(note), Checkpoint.parse(Note.parse(note).text)
    except BadNote:
        raise Refused("this is no checkpoint") from None
    if head.origin != log.name or not seen.signed_by(log):
        raise Refused("the checkpoint is not signed by the log's key")
    last = book.last()
    if last is not None:
        _continues(Checkpoint.parse(Note.parse(last).text), head, prove)
    cosigned = note + signer.cosign(seen.text, seconds)
    book.append(cosigned)
    return cosigned


def _continues(
    before: Checkpoint, head: Checkpoint, prove: Callable[[int, int], Sequence[bytes]]
) -> None:
    if head.size < before.size:
        raise Refused(f"the log had {before.size} events and now has {head.size}")
    if before.size == 0:
        return
    proof = prove(before.size, head.size) if head.size > before.size else ()
    if not verify_consistency(before.size, head.size, before.root, head.root, proof):
        raise Refused(f"the first {before.size} events are not what they were")
