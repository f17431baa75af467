"""Pictures: DINOv2's ViT-S names digits, in a bundle a quarter of its size; part of `make demo`.

1  1,797 scanned digits are written as PNG files, in a folder per label.
2  A linear head is fitted on features of DINOv2, with its own weights (kept in build/demo-pictures for the next time).
3  `edgeformer compile` makes a bundle for ONNX Runtime and LiteRT, judged on 600 pictures that nothing was chosen on.
4  The device wheel, alone in an environment of its own, names one of them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

from data import write_pictures

from edgeformer_runtime.terminal import only_our_lines

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "demo-pictures"
# An installed command beside this interpreter, so that the demo uses what a user would type.
EDGEFORMER = Path(sys.executable).with_name("edgeformer")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def run_silently(*command: str | Path) -> None:
    """A command whose own lines are of interest only when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])


def train_once(pictures: Path) -> Path:
    """The model's directory; fitted again only when the script changed."""
    key = hashlib.sha256((HERE / "train_model.py").read_bytes()).hexdigest()[:16]
    model = WORK / f"model-{key}"
    if not (model / "preprocessor_config.json").is_file():  # the last file that training writes
        with only_our_lines():
            from train_model import train

            train(pictures, WORK, model)
    return model


def device_environment() -> Path:
    """The folder of commands of an environment that holds the device wheel, LiteRT and Pillow."""
    wheels, environment = WORK / "wheels", WORK / "device"
    run_silently(sys.executable, "-m", "build", "--wheel", "--outdir", wheels, ROOT / "runtime")
    wheel = max(wheels.glob("edgeformer_runtime-*.whl"), key=lambda path: path.stat().st_mtime)
    if not (environment / "bin" / "python").exists():
        run(sys.executable, "-m", "venv", environment)
    install = (environment / "bin" / "python", "-m", "pip", "install", "-qq", "-c", ROOT / "constraints.txt")
    run(*install, f"{wheel}[litert,image]")
    run(*install, "--no-deps", "--force-reinstall", wheel)
    return environment / "bin"


def main() -> None:
    start = time.monotonic()
    print("\n=== Pictures: about 2 minutes, longer beside other load", flush=True)
    splits = write_pictures(WORK / "data")
    model, bundle = train_once(splits["train"]), WORK / "bundle"
    run(
        EDGEFORMER, "compile", model, "-o", bundle, "--recipe", "int8", "--format", "onnx", "--format", "tflite",
        "--calibration", splits["calibration"], "--evaluation", splits["evaluation"], "--max-drop", "0.02",
        "--set", "gate.min_cosine_integer_activations=0.99",  # the metric judges
    )  # fmt: skip
    picture = min((splits["evaluation"] / "digit-7").iterdir())
    print(f"\n{picture.relative_to(ROOT)} is, on the device wheel alone:", flush=True)
    run(device_environment() / "edgeformer-run", "predict", bundle, "--image", picture)
    print(f"{time.monotonic() - start:.0f} s in all. The bundle is {bundle.relative_to(ROOT)}; report.html is in it")


if __name__ == "__main__":
    main()
