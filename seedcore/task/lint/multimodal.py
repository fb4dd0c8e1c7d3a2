"""The rules for the multimodal envelope: metadata about voice or vision, never the media itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from seedcore.task.lint.report import Path, Report, is_name, shown
from seedcore.task.payload import MULTIMODAL_SOURCES

_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_=\s-]{1024,}")
_SPOKEN: Final = ("scene_description", "transcription")


def lint_multimodal(report: Report, path: Path, value: Any, _: dict[str, Any]) -> None:
    """Lint the envelope.

    Text that starts as a `data:` address, or is a kilobyte and more of nothing but base64 characters
    with hardly a space, counts as media.
    """
    envelope = report.object("TI200", path, value)
    if envelope is None:
        return
    source = envelope.get("source")
    if source not in MULTIMODAL_SOURCES:
        given = "absent" if source is None else shown(source)
        report.error(
            "TI210", (*path, "source"), f"source is {given}; give {', '.join(MULTIMODAL_SOURCES)}"
        )
    for where, text in _texts(path, envelope):
        if _is_media(text):
            report.error(
                "TI210", where, "this is the media itself; store it elsewhere and give media_uri"
            )
    if not any(is_name(envelope.get(name)) for name in _SPOKEN):
        report.warn(
            "TI210", path, "neither scene_description nor transcription: nothing to search by"
        )


def _texts(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if type(value) is str:
        yield path, value
    elif type(value) is dict:
        for key, item in cast("dict[str, Any]", value).items():
            yield from _texts((*path, key), item)
    elif type(value) is list:
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _texts((*path, index), item)


def _is_media(text: str) -> bool:
    if text[:5].lower() == "data:":
        return True
    # Base64 breaks its lines at 64 characters or later; prose has a space every six or so.
    return (
        len(text) >= 1024
        and sum(map(str.isspace, text)) * 32 < len(text)
        and _ENCODED.fullmatch(text) is not None
    )
