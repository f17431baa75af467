"""The device wheel and an engine, put into our own folder on a device in one of three ways.

- workstation: wheels are fetched here for the device's platform and copied over; it needs neither pip nor a network.
- device: the device's own pip, in a virtual environment of ours; it may know other indexes (piwheels) than we.
- installed: the engine that the device's Python has already, such as NVIDIA's build of ONNX Runtime; only our package
  is added.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeformer_runtime.bundle.manifest import Manifest, VariantEntry
from edgeformer_runtime.engines import ENGINES, EngineFacts
from edgeformer_runtime.errors import InputError

from ..emulation.store import key
from .base import Progress, RemoteError
from .facts import Facts, Place
from .sync import Inventory, sync
from .wheels import device_wheel, make_site, requirements, runtime_files

INSTALLED = "installed"
EXTRAS = tuple(extra for facts in ENGINES.values() for extra in facts.extras)  # of the device wheel
WAYS = ("workstation", "device")
_PIP_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Installed:
    """What was put there, and how its Python is started."""

    way: str
    engines: tuple[str, ...]
    python: str  # "{python}" is the device's
    paths: tuple[str, ...]  # for PYTHONPATH
    sent_bytes: int
    notes: tuple[str, ...] = ()


def chosen_variants(manifest: Manifest, variant: str) -> list[VariantEntry]:
    """Those that ``variant`` ("auto" or a name) leaves to choose from; raises InputError when there is none."""
    entries = [item for item in manifest.variants if variant in ("auto", item.name)]
    if not entries:
        known = ", ".join(item.name for item in manifest.variants)
        raise InputError(f"--variant {variant}: the bundle has auto, {known}")
    return entries


def choose_engines(manifest: Manifest, variant: str, engine: str | None, facts: Facts) -> tuple[str, ...]:
    """The extras of the device wheel to install; () means that the device's own engine is used.

    Raises InputError when nothing in the bundle runs on what was asked for.
    """
    entries = chosen_variants(manifest, variant)
    if engine == INSTALLED:
        return ()
    if engine is not None:
        check_engine(engine, entries)
        return (_facts_of_extra(engine)[1].extra_on(facts.machine) or engine,)
    made_for_known = [ENGINES[item.engine] for item in entries if item.engine in ENGINES]
    found = {known.extra_on(facts.machine) for known in made_for_known}
    wanted = sorted(extra for extra in found if extra is not None)
    if not wanted and any(known.comes_with_device for known in made_for_known):
        return ()
    if not wanted:
        made_for = ", ".join(f"{item.name} ({item.engine})" for item in entries)
        raise InputError(f"no engine for {facts.machine} runs a variant of this bundle, which has {made_for}")
    return tuple(wanted)


def check_engine(engine: str, entries: Sequence[VariantEntry]) -> None:
    """Raise InputError where ``engine``, one of EXTRAS, runs none of ``entries``."""
    of_variants = {item.engine for item in entries}
    if engine not in EXTRAS:
        raise InputError(f"--engine {engine}: expected {', '.join(EXTRAS)} or {INSTALLED}")
    if _facts_of_extra(engine)[0] not in of_variants:
        raise InputError(
            f"--engine {engine}: no variant asked for runs on it: they are for {', '.join(sorted(of_variants))}"
        )


def _facts_of_extra(extra: str) -> tuple[str, EngineFacts]:
    """The engine that ``extra``, one of EXTRAS, installs."""
    return next((name, facts) for name, facts in ENGINES.items() if extra in facts.extras)


def install(
    place: Place,
    facts: Facts,
    engines: Sequence[str],
    way: str | None,
    *,
    there: Inventory,
    cache: Path,
    progress: Progress,
) -> Installed:
    """Put runtime and engines on the device; ``way`` None tries the workstation first and says so where that fails."""
    if not engines:
        if "numpy" not in facts.packages:
            raise RemoteError(
                f"{place.remote.address}: its Python {facts.python} has no numpy, which the engine there needs: "
                "install it there (Debian: 'sudo apt install python3-numpy'), or leave out --engine "
                f"{INSTALLED} where another engine will do"
            )
        runtime, sent = _send_runtime(place, facts, there, progress)
        return Installed(INSTALLED, (), "{python}", (runtime,), sent)
    if way == "device":
        return _by_device(place, facts, engines, progress)
    try:
        return _by_workstation(place, facts, engines, there, cache, progress)
    except RemoteError as error:
        if way is not None or not (facts.venv and facts.pip):
            raise
        progress(f"not from here: {error}")
        progress("the device's own pip tries")
        return _by_device(place, facts, engines, progress)


def _by_workstation(
    place: Place, facts: Facts, engines: Sequence[str], there: Inventory, cache: Path, progress: Progress
) -> Installed:
    site = make_site(cache, engines, facts, place.remote.address, progress)
    sent = sync(place, site.folder, site.folder.name, facts, there, progress)
    runtime, sent_runtime = _send_runtime(place, facts, there, progress)
    paths = (runtime, place.path(site.folder.name))
    return Installed("workstation", tuple(engines), "{python}", paths, sent + sent_runtime, site.missing)


def _send_runtime(place: Place, facts: Facts, there: Inventory, progress: Progress) -> tuple[str, int]:
    with tempfile.TemporaryDirectory(prefix="edgeformer-runtime-") as folder:
        write_runtime(Path(folder))
        return place.path("runtime"), sync(place, Path(folder), "runtime", facts, there, progress)


def write_runtime(folder: Path) -> None:
    """Write our device package into ``folder``, as a wheel unpacks it."""
    for path, content in runtime_files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _by_device(place: Place, facts: Facts, engines: Sequence[str], progress: Progress) -> Installed:
    where = place.remote.address
    if not (facts.venv and facts.pip):
        raise RemoteError(f"{where}: its Python lacks pip or venv: 'sudo apt install python3-pip python3-venv' there")
    with tempfile.TemporaryDirectory(prefix="edgeformer-wheel-") as folder:
        wheel = device_wheel(Path(folder))
        size_bytes = wheel.stat().st_size
        place.remote.send(wheel, place.path(wheel.name), timeout_s=120)
    environment = f"venv-{key([str(item) for item in requirements(engines, facts)], facts.python)}"
    python = place.path(f"{environment}/bin/python")
    progress(f"install {', '.join(engines)} there, by its own pip")
    make = ["{python}", "-m", "venv", place.path(environment)]
    # 32-bit Arm has its numpy from the system's packages.
    make += ["--system-site-packages"] if facts.machine == "armv7l" else []
    extras = ",".join(engines)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    # Ours is always replaced: a checkout changes without changing its version.
    fresh = [*pip, "--no-deps", "--force-reinstall", place.path(wheel.name)]
    for command in (make, [*pip, f"{place.path(wheel.name)}[{extras}]"], fresh):
        done = place.run(command, {}, timeout_s=_PIP_TIMEOUT_S, progress=None)
        if done.status != 0:
            raise RemoteError(
                f"{where}: its own pip can't install {', '.join(engines)} for Python {facts.python_minor} on "
                f"{facts.machine}: {done.last_lines(3)}"
            )
    return Installed("device", tuple(engines), python, (), size_bytes)
