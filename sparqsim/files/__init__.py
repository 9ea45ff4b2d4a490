"""Writing files so that nothing a user has is lost, and nothing is left behind."""

from sparqsim.files.cache import cache_folder
from sparqsim.files.checks import check_distinct, check_outputs, check_writable
from sparqsim.files.place import destination, unwritable
from sparqsim.files.replacement import replaced, write_text
from sparqsim.files.temporary import temporary_path

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
