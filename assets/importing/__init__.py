"""The register from files and to files: CSV, XLSX and JSON, every table, by names and external keys instead of ids.

Promise: an import says of every row what becomes of it, is written whole or not at all unless asked to skip bad rows,
and changes nothing when it is given twice; an export that comes back unchanged changes nothing. Reason: ERP systems and
planners keep registers in sheets. A file goes `sheets` (cells) > `reading` (values) > `planning` and `hierarchy`
(differences) > `writing` (services); nothing here may import the admin or write past `assets.services`.
"""

from assets.importing.exporting import export_csv, export_json, export_xlsx, tables_named
from assets.importing.planning import Action, Planned
from assets.importing.rows import Limits
from assets.importing.running import ImportResult, as_dict, import_file, import_rows
from assets.importing.tables import TABLES

__all__ = [
    "TABLES",
    "Action",
    "ImportResult",
    "Limits",
    "Planned",
    "as_dict",
    "export_csv",
    "export_json",
    "export_xlsx",
    "import_file",
    "import_rows",
    "tables_named",
]
