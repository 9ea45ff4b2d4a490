"""Write the schema files anew: `python -m sparqsim.results.schemas`."""

from sparqsim.base.files import write_text
from sparqsim.results.schemas import schema_files

for path, text in schema_files().items():
    write_text(path, text)
