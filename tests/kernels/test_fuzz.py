"""The kernel functions without ONNX Runtime, under the address and undefined-behaviour sanitizers."""

import subprocess

import pytest


@pytest.mark.slow
def test_random_problems_under_the_sanitizers(build_kernels):
    build = build_kernels("kernels-sanitized", "-DEDGEFORMER_TESTS=ON", "-DEDGEFORMER_SANITIZE=address,undefined")
    done = subprocess.run(["ctest", "--output-on-failure"], cwd=build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100% tests passed, 0 tests failed out of 1" in done.stdout
