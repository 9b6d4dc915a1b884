"""Knows the released CNI versions, because matching is by spelling and order by number.

Plugins match a config's version by string equality (libcni `pkg/version/reconcile.go`), so
"1.0" and "v1.0.0" are no versions here. libcni itself orders by numbers and takes them more
loosely (`pkg/version/plugin.go` ParseVersion): `libcni_order` is that function.
"""

from collections.abc import Iterable

KNOWN: tuple[str, ...] = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""Released versions of the specification, in order (containernetworking/cni `SPEC.md` tags)."""

_ORDER = {version: place for place, version in enumerate(KNOWN)}

IMPLIED = "0.1.0"
"""What a plugin takes a missing version for (libcni `pkg/version/conf.go` Decode)."""


class UnknownVersionError(ValueError):
    """The string is not the spelling of a released CNI version."""


def known(version: str | None) -> bool:
    """Whether the string is exactly a released version."""
    return version in _ORDER


def order(version: str) -> int:
    """The place of a released version in the order of releases."""
    try:
        return _ORDER[version]
    except KeyError:
        raise UnknownVersionError(
            f"{version!r} is not a CNI version; the known ones are {', '.join(KNOWN)}"
        ) from None


def up_to(limit: str) -> tuple[str, ...]:
    """The released versions not above the limit, lowest first."""
    return KNOWN[: order(limit) + 1]


def highest(versions: Iterable[str]) -> str | None:
    """The highest released version among the strings; others match nothing and do not count."""
    return max((v for v in versions if v in _ORDER), key=order, default=None)


def libcni_order(version: str) -> tuple[int, int, int]:
    """The numbers that libcni compares; ValueError where libcni's ParseVersion fails.

    An empty version is left to the caller: an error up to libcni 1.0.1, 0.1.0 from 1.1.0 on.
    """
    parts = version.split(".")
    if not version or len(parts) > 3:
        raise ValueError(f"invalid version {version!r}")
    numbers = [_atoi(part) for part in parts] + [0, 0]
    return numbers[0], numbers[1], numbers[2]


def _atoi(text: str) -> int:
    """Go's strconv.Atoi: ASCII digits with one optional sign, in 64 bits."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"invalid number {text!r}")
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"number out of range {text!r}")
    return number
