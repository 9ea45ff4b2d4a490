"""Results as one self-contained page: summary, tables that sort, figures, and what every number
means.

Needs the extra `report` (Jinja2). Equal results give equal bytes: no timestamps, paths or host
names.
"""

from sparqsim.html.gather import Gathered, gather
from sparqsim.html.page import page_text, save_page, write_page

__all__ = ["Gathered", "gather", "page_text", "save_page", "write_page"]
