#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The languages Tavus speaks, by name and by code.

Source: docs.tavus.io, language support (42 languages). The conversation
property ``language`` takes the full name or ``multilingual``; the newer
``languages`` takes codes.
"""

import difflib
import re

from .coerce import shown

MULTILINGUAL = "multilingual"

NAMES = {
    "ar": "arabic",
    "bg": "bulgarian",
    "bn": "bengali",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "gu": "gujarati",
    "he": "hebrew",
    "hi": "hindi",
    "hr": "croatian",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "ka": "georgian",
    "kn": "kannada",
    "ko": "korean",
    "ml": "malayalam",
    "mr": "marathi",
    "ms": "malay",
    "nl": "dutch",
    "no": "norwegian",
    "pa": "punjabi",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sk": "slovak",
    "sv": "swedish",
    "ta": "tamil",
    "te": "telugu",
    "th": "thai",
    "tl": "tagalog",
    "tr": "turkish",
    "uk": "ukrainian",
    "vi": "vietnamese",
    "zh": "chinese",
}
# What browsers and operating systems say for the same languages.
_OTHER_CODES = {"fil": "tl", "nb": "no", "nn": "no"}
_CODES = {name: code for code, name in NAMES.items()}


def language_code(value: str) -> str:
    """The two-letter code of a language.

    Args:
        value: a code (``en``, ``en-US``, ``en_us``) or an English name, in
            any case.

    Raises:
        ValueError: Tavus does not list it; the text says what to write.
    """
    word = value.strip().lower()
    part = re.split("[-_]", word, maxsplit=1)[0]
    code = _CODES.get(word) or _OTHER_CODES.get(part, part)
    if code in NAMES:
        return code
    near = difflib.get_close_matches(word, _CODES, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(
        f"{shown(value)} is not a language Tavus lists{meant}; write a name "
        "or code, such as 'english' or 'en'"
    )


def language_name(value: str) -> str:
    """The lower-case full name of a language, or ``multilingual``.

    Args:
        value: as for ``language_code``, or ``multilingual``.

    Raises:
        ValueError: as ``language_code``.
    """
    if value.strip().lower() == MULTILINGUAL:
        return MULTILINGUAL
    return NAMES[language_code(value)]
