"""What an image may be called: a misprint is refused here, and not by each node's runtime."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[a-zA-Z][a-zA-Z0-9]*(?:[-_+.][a-zA-Z][a-zA-Z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?:{_REGISTRY}/)?{_PART}(?:/{_PART})*(?::{_TAG})?(?:@{_DIGEST})?", re.ASCII
)
"""Source: github.com/distribution/reference v0.6 regexp.go."""


def _pulled(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError(
            f"{text!r} is no image: expected [registry[:port]/]repository[:tag][@digest], "
            "the repository in lower case"
        )
    return text


Image = Annotated[str, AfterValidator(_pulled)]
