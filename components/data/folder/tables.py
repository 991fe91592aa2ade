"""Tables of cases as spreadsheets save them: separated by commas, semicolons or tabs, with or without a BOM."""

import csv
import io
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from components.data.folder.names import stem_of
from components.errors import InvalidInputError
from components.image_reader import is_image_file

Row = Mapping[str, str | None]
_SEPARATORS = (",", ";", "\t")
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_table(path: Path, where: str) -> tuple[list[str], list[tuple[int, Row]]]:
    """Columns of a table with a header, and its rows with their lines.

    Args:
        path: the file, UTF-8 or UTF-16 with a BOM.
        where: setting that names it, for errors.

    Raises:
        InvalidInputError: the file is missing, or cannot be read as a table.
    """
    try:
        content = path.read_bytes()
        text = content.decode(_BOMS.get(content[:2], "utf-8-sig"))
        header = text.partition("\n")[0]
        separator = max(_SEPARATORS, key=header.count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        rows: list[tuple[int, Row]] = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InvalidInputError(f"{where}: {path}: no such file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{where}: {path}: cannot be read ({error}).") from None
    return list(reader.fieldnames), rows


def stem_in_table(text: str | None) -> str:
    """The case that a cell names: spaces around it and an image's suffix fall away, Unicode is composed."""
    name = unicodedata.normalize("NFC", (text or "").strip())
    return name[: len(name) - len(Path(name).name)] + stem_of(Path(name)) if is_image_file(Path(name)) else name
