"""Has a caller what it asks for already (`If-None-Match`)? Then it is told so (304), and gets no body."""

import hashlib
import re

type RawHeaders = list[tuple[bytes, bytes]]

_TAGS = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_DIGEST_BYTES = 16
_OF_THE_BODY = (b"content-type", b"content-length", b"content-encoding")


def is_tagged(status: int, headers: RawHeaders) -> bool:
    """Tell whether an answer to GET gets an entity tag: whole documents do, streams don't."""
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    return status == 200 and kind.partition(b";")[0] == b"application/json"


def entity_tag(headers: RawHeaders, body: bytes) -> bytes:
    """Give the answer's own tag, else one of its content: equal bodies have equal tags."""
    own = next((value for name, value in headers if name == b"etag"), None)
    return own or b'"' + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).hexdigest().encode() + b'"'


def is_known(if_none_match: bytes, tag: bytes) -> bool:
    """Compare weakly, as RFC 9110, section 13.1.2, has it."""
    return if_none_match.strip() == b"*" or tag.removeprefix(b"W/") in _TAGS.findall(if_none_match)


def without_body(headers: RawHeaders) -> RawHeaders:
    """Drop what only describes a body."""
    return [(name, value) for name, value in headers if name not in _OF_THE_BODY]
