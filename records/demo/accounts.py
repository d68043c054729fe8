"""The demo's logins. They work in development only, which is where the demo is loaded."""

from typing import Final

PASSWORD: Final = "confide-demo"  # noqa: S105 - it is printed at each start
