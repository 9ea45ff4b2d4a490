"""The documentation site, in one file: `python -m sphinx -W --keep-going -b html docs site`.

Needs the extra `docs`.
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from generated import PAGES  # noqa: E402

import sparqsim  # noqa: E402

project = "sparqsim"
author = "the sparqsim authors"
copyright = f"{author}, MIT licence"  # noqa: A001 - Sphinx's name
release = version = sparqsim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/__pycache__"]
default_role = "literal"  # `x` in a docstring is code

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"sparqsim {release}"
html_copy_source = False
html_show_sphinx = False
# The site has no time of its making: equal sources give equal pages.
html_last_updated_fmt = None


def _generate(*event: object) -> None:
    """Put what is generated in place of `<!-- generated: NAME -->`."""
    source: list[str] = event[-1]
    for name, page in PAGES.items():
        mark = f"<!-- generated: {name} -->"
        if mark in source[0]:
            source[0] = source[0].replace(mark, page())


def _left_out(*event: object) -> bool | None:
    """Leave out what pydantic adds to every record."""
    _, _, name, *_ = event
    return True if str(name).startswith("model_") else None


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("source-read", _generate)
    app.connect("autodoc-skip-member", _left_out)
