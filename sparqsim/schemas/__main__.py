"""Write the schema files anew: `python -m sparqsim.schemas`."""

from sparqsim.files import write_text
from sparqsim.schemas import schema_files

for path, text in schema_files().items():
    write_text(path, text)
