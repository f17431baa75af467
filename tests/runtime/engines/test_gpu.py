from __future__ import annotations

import pytest

from edgeformer_runtime.engines import gpu


def tree(tmp_path, *names, model="a board"):
    folder = tmp_path / "proc" / "device-tree"
    folder.mkdir(parents=True)
    (folder / "compatible").write_bytes(b"".join(name.encode() + b"\0" for name in names))
    (folder / "model").write_bytes(model.encode() + b"\0")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "architecture", "cores"),
    [
        (("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"), "sm_87", 0),  # Orin Nano
        (("nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"), "sm_87", 2),  # Orin NX 16 GB
        (("nvidia,p3768-0000+p3767-0001", "nvidia,p3767-0001", "nvidia,tegra234"), "sm_87", 1),  # Orin NX 8 GB
        (("nvidia,p3737-0000+p3701-0004", "nvidia,p3701-0004", "nvidia,tegra234"), "sm_87", 2),  # AGX Orin
        (("nvidia,p3509-0000+p3668-0001", "nvidia,p3668-0001", "nvidia,tegra194"), "sm_72", 2),  # Xavier NX
        (("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"), "sm_53", 0),  # Nano
        (("acme,board", "nvidia,tegra234"), "sm_87", None),  # a carrier that doesn't name its module
    ],
)
def test_synthetic_device_trees_of_jetsons(tmp_path, names, architecture, cores):
    found = gpu.find_gpu(tree(tmp_path, *names), ask=lambda command: pytest.fail("not asked on a Jetson"))
    assert (found.name, found.architecture, found.dla_cores) == ("a board", architecture, cores)


def test_nvidia_smi_is_asked_elsewhere(tmp_path):
    found = gpu.find_gpu(tmp_path, ask=lambda command: "NVIDIA RTX A2000, 12GB, 8.6\nNVIDIA T4, 7.5\n")
    assert (found.name, found.architecture, found.dla_cores) == ("NVIDIA RTX A2000, 12GB", "sm_86", 0)


@pytest.mark.parametrize("said", [None, "", "NVIDIA-SMI has failed", "\n\n"])
def test_no_gpu(tmp_path, said):
    assert gpu.find_gpu(tree(tmp_path, "raspberrypi,5-model-b", "brcm,bcm2712"), ask=lambda command: said) is None


def test_a_gpu_of_unknown_architecture(tmp_path):
    assert gpu.find_gpu(tmp_path, ask=lambda command: "A GPU, [N/A]").architecture is None


def test_a_missing_nvidia_smi_is_no_error():
    assert gpu._ask(("no-such-program-of-nvidia",)) is None
    assert gpu._ask(("false",)) is None


@pytest.mark.parametrize(
    ("number", "version"), [(8201, "8.2.1"), (8502, "8.5.2"), (100300, "10.3.0"), (110001, "11.0.1")]
)
def test_tensorrt_says_its_version_as_a_number(number, version):
    assert gpu.library_version(number) == version
