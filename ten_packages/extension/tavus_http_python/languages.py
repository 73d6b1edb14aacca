#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The languages that create takes: those that tavus_python does.

Source: docs.tavus.io, language support (42 languages).
"""

from __future__ import annotations

import re

_NAMES = (
    "arabic|bengali|bulgarian|chinese|croatian|czech|danish|dutch|english|"
    "finnish|french|georgian|german|greek|gujarati|hebrew|hindi|hungarian|"
    "indonesian|italian|japanese|kannada|korean|malay|malayalam|marathi|"
    "norwegian|polish|portuguese|punjabi|romanian|russian|slovak|spanish|"
    "swedish|tagalog|tamil|telugu|thai|turkish|ukrainian|vietnamese|"
    "multilingual"
)
_CODES = (
    "ar|bg|bn|cs|da|de|el|en|es|fi|fil|fr|gu|he|hi|hr|hu|id|it|ja|ka|kn|ko|ml|"
    "mr|ms|nb|nl|nn|no|pa|pl|pt|ro|ru|sk|sv|ta|te|th|tl|tr|uk|vi|zh"
)

# A name, or a code with or without a region; "" is as configured.
LANGUAGE = rf"^({_NAMES}|({_CODES})([_-][A-Za-z0-9_-]{{1,32}})?)?$"
_LANGUAGE = re.compile(LANGUAGE, re.IGNORECASE)


def is_language(value: str) -> bool:
    """Whether Tavus lists it: by name or code, in any case."""
    return _LANGUAGE.fullmatch(value.strip()) is not None
