"""Installs that are interrupted: what is there before, what is installed, and what must hold afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from small_bundles import make_bundle

from edgeformer_runtime import Bundle, BundleNotFoundError, EdgeformerError, install, installed_state, pack, rollback


@dataclass(frozen=True)
class Scenario:
    """``template`` is the directory before; ``act`` changes a copy of it; ``before`` and ``after`` are digests."""

    name: str
    template: Path
    act: Callable[[Path], object]
    before: str | None
    after: str
    damaged: bool = False  # the one before can't be opened

    def fresh(self, folder: Path) -> Path:
        """A new copy of the template."""
        target = folder / "device"
        shutil.rmtree(target, ignore_errors=True)
        if self.template.exists():
            shutil.copytree(self.template, target, symlinks=True)
        return target

    def problem(self, directory: Path) -> str | None:
        """What is wrong with an interrupted directory, None where the old bundle or the new one is current."""
        try:
            with Bundle.open(directory) as bundle:
                found: str | None = bundle.digest
        except BundleNotFoundError:
            found = None
        except EdgeformerError as error:
            if not self.damaged:
                return f"can't be opened: {error}"
            found = self.before
        if found not in (self.before, self.after):
            return f"current is {found}, neither {self.before} nor {self.after}"
        try:
            self.act(directory)
            return self._untidy(directory)
        except EdgeformerError as error:
            return f"the next one fails: {error}"

    def _untidy(self, directory: Path) -> str | None:
        state = installed_state(directory)
        with Bundle.open(directory) as bundle:
            digest = bundle.digest
        if self.name != "rollback" and digest != self.after:
            return f"after the next one {digest} is current, not {self.after}"
        kept = {"installed.json", ".lock", state.current.directory}
        kept |= {state.previous.directory} if state.previous is not None else set()
        left = {path.name for path in directory.iterdir()} - kept - {".installed.json.new"}
        return f"left over: {sorted(left)}" if left and self.name != "rollback" else None


def scenarios(folder: Path) -> list[Scenario]:
    """All scenarios, with their bundles and templates below ``folder``."""
    bundles = {name: make_bundle(folder / "bundles" / name, name, more_files=6) for name in ("one", "two", "three")}
    archive = pack(bundles["three"], folder / "three.zip")
    digests = {name: Bundle.open(path).digest for name, path in bundles.items()}

    def template(name: str, *steps: Callable[[Path], object]) -> Path:
        target = folder / "templates" / name
        for step in steps:
            step(target)
        return target

    def put(name: str) -> Callable[[Path], object]:
        return lambda target: install(archive if name == "zip" else bundles[name], target)

    def partial(target: Path) -> None:
        staging = target / f".staging-{digests['three']}"
        shutil.copytree(bundles["three"], staging)
        (staging / "manifest.json").unlink()
        (staging / "variants/tflite/model.tflite").write_bytes(b"half")

    def damaged(target: Path) -> None:
        (target / digests["two"] / "variants/onnx/model.onnx").write_bytes(b"rotten")

    two = [put("one"), put("two")]
    return [
        Scenario("first", template("first"), put("one"), None, digests["one"]),
        Scenario("second", template("second", put("one")), put("two"), digests["one"], digests["two"]),
        Scenario("third, one is pruned", template("third", *two), put("three"), digests["two"], digests["three"]),
        Scenario("from a zip", template("zip", *two), put("zip"), digests["two"], digests["three"]),
        Scenario("after a partial copy", template("partial", *two, partial), put("three"), digests["two"],
                 digests["three"]),
        Scenario("the previous again", template("again", *two), put("one"), digests["two"], digests["one"]),
        Scenario("rollback", template("rollback", *two), rollback, digests["two"], digests["one"]),
        Scenario("other one over a damaged one", template("damaged", *two, damaged), put("three"), digests["two"],
                 digests["three"], damaged=True),
    ]  # fmt: skip
