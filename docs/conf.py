"""How Sphinx builds these pages into a site: `make site`. GitHub renders the same files as they are."""

project = "Confide"
author = "The Confide authors"
copyright = "2026, the Confide authors"  # noqa: A001 - Sphinx reads this name

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["deflist"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Confide"
html_show_sourcelink = False
