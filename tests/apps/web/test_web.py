"""The web runtime: its own tests in Node and Chromium, over the conformance bundles and what Python makes of odd input.

It is built in build/web, with the tools that its package-lock.json names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeformer.apps.web import WEB
from edgeformer.cli import main
from edgeformer.report.compare import compare, load
from edgeformer.report.compare_render import as_json
from edgeformer_runtime import Bundle, BundleWriter

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "runtime" / "web"
BUILD = ROOT / "build" / "web"  # as deep as runtime/web: paths in the tests fit both
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
MOST_S = 7200  # of a command: full sizes take an hour where other work is done, too
MOST_GZIPPED = 60_000  # bytes, beside the engine
ONE_FILE = ("token-classification", "question-answering", "feature-extraction", "audio-classification")


def run(*command, **options) -> str:
    """What a command prints; its output is the failure's text where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=MOST_S, **options)
    if done.returncode != 0:
        output = (done.stdout + done.stderr)[-6000:]
        pytest.fail(f"{' '.join(map(str, command[:4]))}: exit {done.returncode}\n{output}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="session")
def web() -> Path:
    """The folder of the built runtime and its tools."""
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    BUILD.mkdir(parents=True, exist_ok=True)
    lock, known = SOURCES / "package-lock.json", BUILD / "package-lock.json"
    installed = (BUILD / "node_modules/.package-lock.json").is_file()
    fresh = installed and known.is_file() and known.read_bytes() == lock.read_bytes()
    for path in BUILD.iterdir():
        if path.name != "node_modules":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(SOURCES, BUILD, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "build"))
    if not fresh:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=BUILD)
    run("npx", "--no-install", "tsc", cwd=BUILD)
    return BUILD


@pytest.fixture(scope="session")
def prepared() -> dict[str, str]:
    """The variables that prepare.sh sets: folders of what the Python runtime makes of the same input."""
    command = '. tests/apps/prepare.sh >&2; env | grep "^EDGEFORMER_"'
    found = run("sh", "-ec", command, cwd=ROOT, env={**os.environ, "PYTHON": sys.executable})
    return dict(line.split("=", 1) for line in found.splitlines())


@pytest.fixture(scope="session")
def expected(web, prepared, tmp_path_factory) -> Path:
    """What the Python runtime makes of the same input, and pages that `edgeformer export-web` writes."""
    folder = tmp_path_factory.mktemp("web") / "expected"
    shutil.copytree(prepared["EDGEFORMER_EXPECTED"], folder)
    pages, bundles = folder / "pages", ROOT / "tests" / "conformance" / "bundles"
    two = bundles / "two-engines"
    for bundle, name, options in (
        (two, "folder", ()),
        (two, "onnx.html", ("--single-file", "--variant", "onnx")),
        (two, "tflite.html", ("--single-file", "--variant", "tflite")),
        (bundles / "zero-shot-image-classification", "zero-shot.html", ("--single-file",)),
        *((bundles / kind, f"{kind}.html", ("--single-file",)) for kind in ONE_FILE),
    ):
        run(sys.executable, "-m", "edgeformer", "export-web", bundle, "-o", pages / name, "--engines", web, *options)
    return folder


def test_the_runtimes_own_tests(web, expected, prepared):
    tests = sorted((web / "build/test").rglob("*.test.js"))
    assert len(tests) >= 3
    known = {**prepared, "EDGEFORMER_EXPECTED": str(expected), "EDGEFORMER_CHROMIUM": CHROMIUM}
    run("node", "--test", "--test-concurrency=1", *tests, cwd=web, env={**os.environ, **known})
    (row,) = as_json(compare(load([expected / "report.json"])))["rows"]  # which one of them wrote
    assert (row["variant"], row["threads"], row["power_w"]["value"]) == ("tflite", 1, None)


def test_the_shipped_files_are_those_that_the_sources_give(web):
    output = json.loads(run("node", "build.mjs", BUILD / "shipped", cwd=web))
    shipped = ROOT / "edgeformer" / "web" / "files"
    assert {path.name: path.read_bytes() for path in (BUILD / "shipped").iterdir()} == {
        path.name: path.read_bytes() for path in shipped.iterdir()
    }, "run `node build.mjs` in runtime/web"
    assert output["edgeformer-web.js"]["gzipped"] <= MOST_GZIPPED


def test_the_code_that_inspect_prints_compiles_for_every_task_and_engine(web):
    """Pasted into files beside the runtime, which resolves "edgeformer-web" to itself."""
    run(sys.executable, ROOT / "tests/apps/pasted.py", "web", web / "pasted")
    assert len(list((web / "pasted").iterdir())) >= 20
    options = {"extends": "./tsconfig.json", "compilerOptions": {"noEmit": True}, "include": ["pasted"]}
    (web / "tsconfig.pasted.json").write_text(json.dumps(options), "utf-8")
    run("npx", "--no-install", "tsc", "-p", "tsconfig.pasted.json", cwd=web)


def test_every_line_of_the_guide_compiles(web):
    """Its blocks as one module of plain JavaScript; the files that an exported page has are those of the packages."""
    text = (ROOT / "examples" / "web_guide.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert {language for language, _ in blocks} == {"js"}
    assert len(blocks) >= 3
    code = "".join(block for _, block in blocks)
    for path, module in (
        ("./edgeformer-web.js", "../src/index.js"),
        ("./engines/onnxruntime/ort.wasm.bundle.min.mjs", "onnxruntime-web/wasm"),
        ("./engines/litert/index.js", "@litertjs/core"),
    ):
        assert f'from "{path}"' in code
        code = code.replace(f'from "{path}"', f'from "{module}"')
    (web / "guide").mkdir()
    (web / "guide" / "guide.js").write_text(code, "utf-8")
    checked = {"noEmit": True, "allowJs": True, "checkJs": True, "declaration": False}
    options = {"extends": "./tsconfig.json", "compilerOptions": checked, "include": ["guide"]}
    (web / "tsconfig.guide.json").write_text(json.dumps(options), "utf-8")
    run("npx", "--no-install", "tsc", "-p", "tsconfig.guide.json", cwd=web)


def test_the_engines_sizes_are_those_of_their_packages(web):
    modules = web / "node_modules"
    for engine, names in (
        ("litert", ("dist/index.js", "wasm/litert_wasm_internal.js", "wasm/litert_wasm_internal.wasm")),
        ("onnxruntime", ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm")),
    ):
        (found,) = (item for item in WEB.engines if item.name == engine)
        package = modules / found.library
        assert json.loads((package / "package.json").read_text("utf-8"))["version"] == found.version
        assert sum((package / name).stat().st_size for name in names) == found.size_bytes


def test_engines_that_are_missing_and_outputs_in_the_way(tmp_path, capsys):
    bundle = str(ROOT / "tests/conformance/bundles/text-classification")
    assert main(["export-web", bundle, "-o", str(tmp_path / "page"), "--engines", str(tmp_path)]) == 2
    assert f"npm install --prefix {tmp_path} --ignore-scripts onnxruntime-web" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("x")
    for output, options, said in (
        ("mine", (), "no page of ours"),
        ("page", ("--single-file",), "the name of an .html file"),
        ("page", ("--variant", "tflite"), "has no variant 'tflite'"),
    ):
        command = ["export-web", bundle, "-o", str(tmp_path / output), "--engines", str(tmp_path), *options]
        assert main(command) in (1, 2)
        assert said in capsys.readouterr().err
    assert (tmp_path / "mine/file").read_text() == "x"


def test_a_bundle_for_other_devices_alone_is_refused(tmp_path, capsys):
    with Bundle.open(ROOT / "tests/conformance/bundles/tensors") as bundle:
        manifest, content = bundle.manifest, {entry.path: bundle.read(entry.path) for entry in bundle.manifest.files}
    entry = replace(manifest.variants[0], name="coreml", format="coreml", engine="coreml")
    with BundleWriter(tmp_path / "bundle") as writer:
        for name, data in content.items():
            if not name.startswith("golden"):
                (writer.directory / name).parent.mkdir(parents=True, exist_ok=True)
                (writer.directory / name).write_bytes(data)
        writer.publish(replace(manifest, variants=(entry,)))
    assert main(["export-web", str(tmp_path / "bundle"), "-o", str(tmp_path / "page"), "--engines", str(tmp_path)]) == 2
    assert "none of its variants (coreml) runs in a browser" in capsys.readouterr().err


def test_names_and_files_are_text_in_a_page(web, tmp_path):
    with Bundle.open(ROOT / "tests/conformance/bundles/tensors") as bundle:
        manifest, content = bundle.manifest, {entry.path: bundle.read(entry.path) for entry in bundle.manifest.files}
    with BundleWriter(tmp_path / "bundle") as writer:
        for name, data in content.items():
            (writer.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (writer.directory / name).write_bytes(data)
        writer.publish(replace(manifest, name="</title><script>alert(1)</script>%FILES%"))
    page = tmp_path / "page.html"
    command = ["export-web", tmp_path / "bundle", "-o", page, "--engines", web, "--single-file", "--json"]
    assert main([str(part) for part in command]) == 0
    text = page.read_text("utf-8")
    assert "<script>alert" not in text
    assert "<h1>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;%FILES%</h1>" in text
