"""Where are the SQL and OpenAPI files, in a wheel or in the repository?"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def packaged(folder: str) -> Path:
    """Find `db/…` or `openapi/…`: inside the installed package, else beside `service/` in a checkout.

    Raises: FileNotFoundError when the installation lacks it.
    """
    for root in (_PACKAGE, _PACKAGE.parent.parent):
        if (root / folder).exists():
            return root / folder
    raise FileNotFoundError(f"this installation of pullplan lacks its {folder}")
