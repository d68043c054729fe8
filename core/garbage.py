"""The garbage collector of a process that goes on."""

import gc


def settle() -> None:
    """Tell the collector that what was loaded is there to stay: it walks through it no more, and forked children share it.

    Then a full collection of next to nothing: one is due when a quarter of what the last one found has come anew. A quarter
    of all that was loaded would be megabytes of cycles, such as each lost connection to the broker leaves.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
