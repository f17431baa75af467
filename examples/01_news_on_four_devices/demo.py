"""The main job, end to end, on a real model and real data: `make demo`.

1  BBC news is split into training, calibration and evaluation rows.
2  A LoRA adapter and a classification head are trained on all-MiniLM-L6-v2 (kept in build/demo for the next time).
3  `edgeformer compile` makes one verified bundle for four devices.
4  The device wheel is installed alone in an environment of its own, opens the bundle, predicts and benchmarks.
5  The bundle becomes a web page that works from a file.
6  One table.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data import write_splits

from edgeformer_runtime.terminal import only_our_lines

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "demo"
DEVICES = ("raspberry-pi-5", "pixel-8", "iphone-15", "jetson-orin-nano")
# An installed command beside this interpreter, so that the demo uses what a user would type.
EDGEFORMER = str(Path(sys.executable).with_name("edgeformer"))


@contextmanager
def step(title: str, usual_s: int) -> Iterator[None]:
    """Says what begins, how long it takes on two cores that have nothing else to do, and how long it took."""
    print(f"\n=== {title}: about {usual_s} s, longer beside other load", flush=True)
    start = time.monotonic()
    yield
    print(f"=== {title}: done in {time.monotonic() - start:.0f} s", flush=True)


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def run_silently(*command: str | Path) -> None:
    """A command whose own lines are of interest only when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])


def train_once(rows: Path) -> Path:
    """The adapter's directory; trained again only when its script or its rows changed."""
    key = hashlib.sha256((HERE / "train_adapter.py").read_bytes() + rows.read_bytes()).hexdigest()[:16]
    adapter = WORK / f"adapter-{key}"
    if not (adapter / "config.json").is_file():  # the last file that training writes
        with only_our_lines():  # training's libraries have much to say
            from train_adapter import train

            train(rows, adapter)
    return adapter


def compile_bundle(adapter: Path, splits: dict[str, Path]) -> Path:
    from train_adapter import base_model

    bundle = WORK / "bundle"
    devices = [part for name in DEVICES for part in ("--device", name)]
    run(
        EDGEFORMER, "compile", base_model(), "-o", bundle, "--adapter", adapter, *devices,
        "--calibration", splits["calibration"], "--evaluation", splits["evaluation"], "--max-drop", "0.01",
    )  # fmt: skip
    return bundle


def compile_baseline(adapter: Path) -> Path:
    """The same model uncompressed, as ONNX: what everything is compared with."""
    from train_adapter import base_model

    baseline = WORK / "baseline"
    run(EDGEFORMER, "compile", base_model(), "-o", baseline, "--adapter", adapter,
        "--recipe", "float32", "--format", "onnx")  # fmt: skip
    return baseline


def device_environment() -> Path:
    """The interpreter of an environment that holds the device wheel and engines, and nothing else of ours."""
    wheels, environment = WORK / "wheels", WORK / "device"
    run_silently(sys.executable, "-m", "build", "--wheel", "--outdir", wheels, ROOT / "runtime")
    wheel = max(wheels.glob("edgeformer_runtime-*.whl"), key=lambda path: path.stat().st_mtime)
    if not (environment / "bin" / "python").exists():
        run_silently(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    constraints = ("-c", ROOT / "constraints.txt")
    run_silently(python, "-m", "pip", "install", "-qq", *constraints, f"{wheel}[onnxruntime,litert]")
    run_silently(python, "-m", "pip", "install", "-qq", "--no-deps", "--force-reinstall", wheel)
    return python


def write_page(bundle: Path) -> str:
    """A sentence: where the page is, or what is missing for one."""
    page, engines, name = WORK / "page.html", WORK / "engines", "@litertjs/core"
    package = json.loads((ROOT / "runtime" / "web" / "package.json").read_text(encoding="utf-8"))
    version = package["devDependencies"][name]
    install = ["npm", "install", "--prefix", str(engines), "--ignore-scripts", "--no-audit", f"{name}@{version}"]
    # TFLite, because its engine is the faster one in browsers.
    export = [EDGEFORMER, "export-web", str(bundle), "-o", str(page), "--engines", str(engines)]
    export += ["--single-file", "--variant", "tflite"]
    later = f"{' '.join(install)} && {' '.join(export)}"
    if shutil.which("npm") is None:
        return f"No page: its engine comes by npm, which isn't here. Install Node.js with npm, then run\n{later}"
    if not (engines / "node_modules" / name).is_dir():
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"No page: npm couldn't fetch its engine: {done.stderr.strip()[-300:]}\nLater run\n{later}"
    run_silently(*export)
    return f"Open {page.relative_to(ROOT)} in a browser: it runs the bundle, without a server."


def print_table(bundle: Path, baseline: Path, measured: dict[str, dict[str, float]]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    full = json.loads((baseline / "manifest.json").read_text(encoding="utf-8"))["variants"][0]
    before = manifest["metrics"]["uncompressed"]
    rows = [
        ("variant", "MB", "smaller by", "latency", "faster by", "accuracy", "agreement", "verified"),
        ("uncompressed (ONNX)", f"{full['size_bytes'] / 1e6:.1f}", "1.0x",
         f"{measured['latency_ms']['baseline']:.1f} ms", "1.0x", f"{before['metric'] * 100:.1f} %", "-", "reference"),
    ]  # fmt: skip
    for entry in manifest["variants"]:
        found, name = entry["verification"], entry["name"]
        latency = measured["latency_ms"].get(name)
        where = found["executed_by"] if found["on_device"] else f"{found['executed_by']} (stand-in)"
        rows.append((
            name, f"{entry['size_bytes'] / 1e6:.1f}", f"{full['size_bytes'] / entry['size_bytes']:.1f}x",
            f"{latency:.1f} ms" if latency else "not run here",
            f"{measured['faster_by'][name]:.1f}x" if latency else "-",
            f"{found['metric'] * 100:.1f} %", f"{found['agreement'] * 100:.1f} %",
            f"{found['samples']} rows against torch, by {where}",
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    low, high = before["metric_interval_95"]
    print(f"\nAccuracy on {manifest['metrics']['samples']} held-out documents; 95 % interval of the uncompressed model")
    print(
        f"{low * 100:.1f} to {high * 100:.1f} %. Latency: 128 tokens, batch 1, 2 threads, on this machine, no device."
    )
    for name, reason in measured["skipped"].items():
        print(f"{name}: {reason}")


def print_what_next(python: Path) -> None:
    """The commands for a model of one's own, as they can be pasted from the top of the checkout."""
    command = Path(EDGEFORMER).relative_to(ROOT) if Path(EDGEFORMER).is_relative_to(ROOT) else EDGEFORMER
    wheel = max((WORK / "wheels").glob("*.whl"), key=lambda path: path.stat().st_mtime).relative_to(ROOT)
    device = python.parent.relative_to(ROOT)
    print(
        f"""
Next, with a model of your own: MODEL is a Hugging Face directory, rows are CSV files with the columns text,label

    {command} compile MODEL -o BUNDLE --adapter LORA --device raspberry-pi-5 \\
        --calibration calibration.csv --evaluation test.csv --max-drop 0.01
    {device}/edgeformer-run predict BUNDLE "a text of yours"

Leave out --adapter where there is none, --calibration and --evaluation for a first try. '{command} devices' lists the
boards and phones. On the board, with BUNDLE and the wheel copied to it:

    pip install './{wheel.name}[onnxruntime,litert]'    # here it is {wheel}
    edgeformer-run bench BUNDLE
""".rstrip()
    )


def main() -> None:
    start = time.monotonic()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with step("1  data", 1), only_our_lines():
        splits = write_splits(WORK / "data")
    with step("2  LoRA adapter (kept for the next time)", 60):
        adapter = train_once(splits["train"])
    with step("3  compile (finished stages are kept)", 150):
        bundle = compile_bundle(adapter, splits)
        baseline = compile_baseline(adapter)
    with step("4  on the device wheel alone", 60):
        python = device_environment()
        run(python, HERE / "on_device.py", bundle, baseline, WORK / "measured.json")
        report = WORK / "report.json"
        run(python.with_name("edgeformer-run"), "bench", bundle, "--quick", "--threads", "2", "--json", report)
    with step("5  a web page of the bundle", 10):
        page = write_page(bundle)
    print("\n=== 6  result")
    print_table(bundle, baseline, json.loads((WORK / "measured.json").read_text(encoding="utf-8")))
    print(f"\n{time.monotonic() - start:.0f} s in all. The bundle is {bundle.relative_to(ROOT)}; report.html is in it")
    print(page)
    print_what_next(python)


if __name__ == "__main__":
    main()
