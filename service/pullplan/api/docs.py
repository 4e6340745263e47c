"""Where does a caller read and try the API? On pages that need no other host, under a strict content policy."""

from functools import cache

from litestar import MediaType, Response, get
from litestar.params import FromPath
from swagger_ui_bundle import swagger_ui_path

from pullplan.engine.errors import ResourceUnknownError
from pullplan.packaged_files import packaged

_MEDIA_TYPES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
}
# Swagger UI draws some of its own styles inline; scripts are files, ours among them.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pullplan API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"""\
window.ui = SwaggerUIBundle({
  url: "/openapi.yaml",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
});
"""


@cache
def _read(asset: str) -> bytes:
    return _START if asset == "start.js" else (swagger_ui_path / asset).read_bytes()


@cache
def _document() -> bytes:
    return (packaged("openapi") / "openapi.yaml").read_bytes()


@get("/docs", include_in_schema=False, sync_to_thread=False)
def show_docs() -> Response[str]:
    """Show the API's documentation."""
    return Response(_PAGE, media_type=MediaType.HTML, headers=_HEADERS)


@get("/docs/{asset:str}", include_in_schema=False, sync_to_thread=False)
def send_asset(asset: FromPath[str]) -> Response[bytes]:
    """Send a file that the documentation needs."""
    if asset not in _MEDIA_TYPES:
        raise ResourceUnknownError("page", f"/docs/{asset}")
    return Response(
        _read(asset), media_type=_MEDIA_TYPES[asset], headers={"X-Content-Type-Options": "nosniff"}
    )


@get("/openapi.yaml", include_in_schema=False, sync_to_thread=False)
def send_document() -> Response[bytes]:
    """Send the OpenAPI document."""
    return Response(_document(), media_type="application/yaml", headers={"X-Content-Type-Options": "nosniff"})


ROUTES = [show_docs, send_asset, send_document]
