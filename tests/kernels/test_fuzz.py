"""The kernel functions without ONNX Runtime, under the address, undefined-behaviour and thread sanitizers."""

import platform
import shutil
import subprocess

import pytest


def run_tests(build, count, *arguments):
    # GCC 12's thread sanitizer doesn't start where the system scatters addresses over more than 28 bits
    together = ["setarch", platform.machine(), "-R"]
    scattered = shutil.which("setarch") is None or subprocess.run([*together, "true"], check=False).returncode != 0
    command = [*([] if scattered else together), "ctest", "--output-on-failure", *arguments]
    done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"100% tests passed, 0 tests failed out of {count}" in done.stdout


@pytest.mark.slow
def test_random_problems_under_the_sanitizers(build_kernels):
    build = build_kernels("kernels-sanitized", "-DEDGEFORMER_TESTS=ON", "-DEDGEFORMER_SANITIZE=address,undefined")
    run_tests(build, 2)


@pytest.mark.slow
def test_tasks_on_several_threads_under_the_thread_sanitizer(build_kernels):
    build = build_kernels("kernels-threads", "-DEDGEFORMER_TESTS=ON", "-DEDGEFORMER_SANITIZE=thread")
    run_tests(build, 1, "-R", "fuzz_quantized_linear")  # the other one runs on a single thread
