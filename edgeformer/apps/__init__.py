"""What an app needs to run a bundle, by the platform that its store serves; one platform a file."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InputError
from .android import ANDROID
from .ios import IOS
from .platform import Platform
from .web import WEB

PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in (ANDROID, IOS, WEB)}

__all__ = ["PLATFORMS", "Platform", "get_platform"]


def get_platform(name: str) -> Platform:
    """The platform called ``name``; raises InputError naming those that exist."""
    if name not in PLATFORMS:
        raise InputError(f"platform {name!r}: expected one of {', '.join(PLATFORMS)}")
    return PLATFORMS[name]
