"""Writing files so that nothing a user has is lost, and nothing is left behind."""

from sparqsim.base.files.cache import cache_folder
from sparqsim.base.files.checks import check_distinct, check_outputs, check_writable
from sparqsim.base.files.place import destination, unwritable
from sparqsim.base.files.replacement import replaced, write_text
from sparqsim.base.files.temporary import temporary_path

__all__ = [
    "cache_folder",
    "check_distinct",
    "check_outputs",
    "check_writable",
    "destination",
    "replaced",
    "temporary_path",
    "unwritable",
    "write_text",
]
