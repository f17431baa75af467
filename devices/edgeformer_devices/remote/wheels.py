"""Packages for a device, put together on the workstation: the device needs neither pip nor a network."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.resources
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from ..emulation.store import kept, key
from .base import RemoteError, printable
from .facts import Facts

RUNTIME = "edgeformer-runtime"
_EPOCH = (2020, 1, 1, 0, 0, 0)  # equal sources give equal bytes
_OLDEST_GLIBC = 17
_PIP_TIMEOUT_S = 1800
_ROUNDS = 5


@dataclass(frozen=True)
class Site:
    """A folder of packages for one kind of device. ``missing`` says what isn't in it, and why that doesn't hinder."""

    folder: Path
    requirements: tuple[str, ...]
    missing: tuple[str, ...] = ()


def device_wheel(folder: Path) -> Path:
    """Write the wheel of edgeformer-runtime as it is installed here (from a checkout, too) into ``folder``."""
    distribution = importlib.metadata.distribution(RUNTIME)
    metadata = distribution.read_text("METADATA")
    if metadata is None:
        raise RemoteError(f"{RUNTIME} is not installed as a package here: pip install it")
    name = f"edgeformer_runtime-{distribution.version}"
    files = dict(runtime_files())
    info = f"{name}.dist-info"
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: edgeformer\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nedgeformer-run = edgeformer_runtime.cli:main\n"
    files[f"{info}/RECORD"] = _record(files, info)
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), files[path], zipfile.ZIP_DEFLATED)
    return wheel


def runtime_files() -> Iterator[tuple[str, bytes]]:
    """Every file of the runtime's package: its path in the wheel, its content."""
    package = importlib.resources.files("edgeformer_runtime")
    with importlib.resources.as_file(package) as root:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"edgeformer_runtime/{path.relative_to(root).as_posix()}", path.read_bytes()


def _record(files: Mapping[str, bytes], info: str) -> bytes:
    lines = []
    for path in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(files[path])}")
    return "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()


def requirements(extras: Sequence[str], facts: Facts) -> list[Requirement]:
    """What the device wheel asks for on a device of these ``facts``, with ``extras``."""
    declared = importlib.metadata.requires(RUNTIME) or []
    return list(_needed(declared, facts, extras))


def _needed(declared: Iterable[str], facts: Facts, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """Those of ``declared`` that apply to the device: pip would judge their markers by this machine."""
    seen = set()
    for text in declared:
        requirement = Requirement(text)
        environments = [marker_environment(facts, extra) for extra in ("", *extras)]
        if requirement.marker is not None and not any(requirement.marker.evaluate(item) for item in environments):
            continue
        requirement.marker = None
        if str(requirement) not in seen:
            seen.add(str(requirement))
            yield requirement


def marker_environment(facts: Facts, extra: str = "") -> dict[str, str]:
    """Values of a requirement's marker on the device."""
    return {
        "implementation_name": "cpython",
        "implementation_version": facts.python,
        "os_name": "posix",
        "platform_machine": facts.machine,
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": facts.python,
        "platform_python_implementation": "CPython",
        "python_version": facts.python_minor,
        "sys_platform": "linux",
        "extra": extra,
    }


def platform_tags(facts: Facts, where: str) -> list[str]:
    """Tags of the wheels that run there, the newest first; raises RemoteError where none can."""
    if facts.libc != "glibc":
        raise RemoteError(
            f"{where}: its C library is {facts.libc or 'not glibc'}: the engines' wheels need glibc, as Debian, "
            "Ubuntu and JetPack have it (Alpine, OpenWrt and Android don't)"
        )
    minor = int(facts.libc_version.split(".")[1])
    tags = [f"manylinux_2_{number}_{facts.machine}" for number in range(minor, _OLDEST_GLIBC - 1, -1)]
    return [*tags, f"manylinux2014_{facts.machine}", f"linux_{facts.machine}"]


def make_site(cache: Path, extras: Sequence[str], facts: Facts, where: str, progress: Callable[[str], None]) -> Site:
    """Everything but our own package that ``extras`` of it need on the device; made once and kept in ``cache``.

    Raises RemoteError, with pip's own words, when there is no wheel for the device.
    """
    tags = platform_tags(facts, where)
    wanted = requirements(extras, facts)
    missing: list[str] = []
    for optional in ("numpy", "tokenizers"):
        reason = _dispensable(optional, wanted, facts)
        if reason is not None:
            wanted = [item for item in wanted if canonicalize_name(item.name) != optional]
            missing.append(reason)
    texts = sorted(str(item) for item in wanted)
    name = f"site-{facts.machine}-{facts.python_minor}-{key(texts, tags)}"

    def make(into: Path) -> None:
        progress(f"fetch wheels for {facts.machine}, Python {facts.python_minor}: {', '.join(texts)}")
        fetch(into, texts, facts, tags, where)

    return Site(kept(cache, name, make), tuple(texts), tuple(missing))


def _dispensable(name: str, wanted: Sequence[Requirement], facts: Facts) -> str | None:
    """Why ``name`` needn't be fetched: PyPI has no 32-bit Arm wheels of it."""
    if facts.machine != "armv7l":
        return None
    if name == "tokenizers":
        return "tokenizers has no wheel for 32-bit Arm: arrays run, texts don't (`predict` says so)"
    has = facts.packages.get(name)
    fits = [item for item in wanted if item.name == name]
    if has is not None and all(_fits(item, has) for item in fits):
        return f"{name} {has} is the device's own"
    return None


def fetch(into: Path, texts: Sequence[str], facts: Facts, tags: Sequence[str], where: str) -> None:
    """Install ``texts`` for the device, then what its own markers ask for in addition, until nothing is missing."""
    pending = list(texts)
    for _ in range(_ROUNDS):
        if not pending:
            return
        _pip(into, pending, facts, tags, where)
        pending = sorted({str(item) for item in _unmet(into, facts)})
    raise RemoteError(f"{where}: these requirements can't be met together: {', '.join(pending)}")


def _unmet(site: Path, facts: Facts) -> Iterator[Requirement]:
    installed = {canonicalize_name(item.name): item for item in importlib.metadata.distributions(path=[str(site)])}
    for item in installed.values():
        for requirement in _needed(item.requires or [], facts):
            found = installed.get(canonicalize_name(requirement.name))
            has = facts.packages.get(requirement.name) if found is None else found.version
            if has is None or not _fits(requirement, has):
                yield requirement


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:  # a device may say anything
        return False


def _pip(into: Path, texts: Sequence[str], facts: Facts, tags: Sequence[str], where: str) -> None:
    short = facts.python_minor.replace(".", "")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
        "--only-binary", ":all:", "--target", str(into), "--python-version", facts.python_minor,
        "--implementation", "cp", "--abi", f"cp{short}", "--abi", "abi3", "--abi", "none",
    ]  # fmt: skip
    for tag in tags:
        command += ["--platform", tag]
    if facts.machine == "armv7l":
        command.append("--no-deps")  # what it would bring in is checked below, and may be the device's own
    try:
        done = subprocess.run(
            [*command, *texts], capture_output=True, text=True, errors="replace", check=False, timeout=_PIP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise RemoteError(f"{where}: pip took more than {_PIP_TIMEOUT_S} s to fetch {', '.join(texts)}") from error
    if done.returncode:
        lines = [line for line in printable(done.stderr).splitlines() if line.startswith("ERROR")] or [
            done.stderr[-500:]
        ]
        raise RemoteError(
            f"{where}: no wheel of {' or '.join(texts)} fits Python {facts.python_minor} on {facts.machine}, or the "
            "package index can't be reached. Another --engine may fit; '--install device' lets the device's pip try. "
            f"pip said: {' '.join(lines)[-800:]}"
        )
