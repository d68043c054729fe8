"""What our own OAuth clients are called: a module that costs nothing, for commands start with it."""

from typing import Final

CLI: Final = "confide-cli"
DOCS: Final = "confide-docs"
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
OURS: Final = frozenset({CLI, DOCS})
"""Clients of our own: without a resource scope their tokens are good for all that the owner may do."""
