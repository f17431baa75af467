import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from edgeformer.malloc import keep_freed_pages
if sys.argv[1] == "kept" and not keep_freed_pages():
    sys.exit(77)
def faults_of_one_array():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**24)  # 128 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first, second = faults_of_one_array(), faults_of_one_array()
print(second)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_pages_of_large_arrays_are_fetched_once():
    found = {}
    for way in ("kept", "as it is"):
        done = subprocess.run([sys.executable, "-c", CODE, way], capture_output=True, text=True, check=False)
        if done.returncode == 77:
            pytest.skip("this C library has no mallopt")
        assert done.returncode == 0, done.stderr
        found[way] = int(done.stdout)
    assert 4 * found["kept"] < found["as it is"]  # a fault for each page, small or huge
