"""Write the files of all templates."""

from __future__ import annotations

from docs.templates import book
from docs.templates.sheet import sheets

if __name__ == "__main__":
    for sheet in sheets():
        sheet.file().parent.mkdir(parents=True, exist_ok=True)
        sheet.file().write_bytes(sheet.data())
        print(sheet.path)
    print(f"{len(sheets())} templates, drawn by {book.__name__}")
