"""What a device says it is: real answers of this machine, altered ones, and shells that lack what is needed."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_devices.remote import agent
from edgeformer_devices.remote.base import MAX_OUTPUT_BYTES, MAX_PROGRESS_LINES, RemoteError, printable, run_local
from edgeformer_devices.remote.facts import Facts, read_json, settle

ANSWER = {
    "python": "3.11.2", "implementation": "CPython", "system": "Linux", "machine": "aarch64", "bits": 64,
    "platform": "linux-aarch64", "libc": "glibc", "libc_version": "2.36", "free_bytes": 10**9,
    "packages": {"numpy": "1.24.2"}, "pip": True, "venv": False,
}  # fmt: skip


def test_this_machine_tells_the_truth(shell, device_home):
    place, facts = settle(shell)
    assert place.folder == str(device_home / ".cache/edgeformer/bench")
    assert facts.machine == platform.machine()
    assert facts.python == platform.python_version()
    assert facts.libc == "glibc"
    assert facts.free_bytes > 0


def test_a_32_bit_python_under_a_64_bit_kernel_is_32_bit():
    """Raspberry Pi OS with 32 bits runs a 64-bit kernel since 2023, and uname says so."""
    assert Facts.from_answer({**ANSWER, "bits": 32}, "x").machine == "armv7l"
    assert Facts.from_answer({**ANSWER, "bits": 32, "machine": "armv8l"}, "x").machine == "armv7l"
    assert Facts.from_answer(ANSWER, "x").machine == "aarch64"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": "riscv64"}, "its processor is 'riscv64': engines exist for x86_64, aarch64, armv7l"),
        ({"implementation": "PyPy"}, "engines exist for CPython only"),
        ({"python": "3.11"}, "engines exist for CPython only"),
        ({"system": "Darwin"}, "expected Linux"),
        ({"free_bytes": "many"}, "another form"),
        ({"libc_version": "2"}, "its glibc is '2'"),
        ({"libc_version": "\x1b[2J"}, "its glibc is"),
        ({"packages": []}, "another form"),
        ({"bits": None, "machine": None}, "its processor is 'None'"),
    ],
)
def test_other_devices_are_refused_by_what_they_are(change, message):
    with pytest.raises(RemoteError, match=message):
        Facts.from_answer({**ANSWER, **change}, "pi")


def test_a_missing_answer_is_refused():
    for name in ANSWER:
        if name != "platform":
            with pytest.raises(RemoteError, match="another form"):
                Facts.from_answer({key: value for key, value in ANSWER.items() if key != name}, "pi")


def test_no_python_says_what_to_install(shell, device_home):
    (device_home / "bin/python3").unlink()
    shell.environment["PATH"] = str(device_home / "bin")
    for tool in ("sh", "uname", "mkdir", "id", "chmod"):
        (device_home / "bin" / tool).symlink_to(f"/bin/{tool}")
    with pytest.raises(RemoteError, match=r"no python3: expected Python 3\.8 or newer.*apt install python3"):
        settle(shell)


def test_an_old_python_is_named(shell, device_home):
    for name in ("python3", *(f"python3.{minor}" for minor in range(8, 14))):
        (device_home / "bin" / name).write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.6.9" && exit 0\nexit 1\n'
        )
        (device_home / "bin" / name).chmod(0o755)
    with pytest.raises(RemoteError, match=r"only Python 3\.6\.9: expected Python 3\.8"):
        settle(shell)


def test_another_architecture_is_refused_before_python_is_sought(shell, device_home):
    (device_home / "bin/uname").write_text("#!/bin/sh\necho mips64\n")
    (device_home / "bin/uname").chmod(0o755)
    with pytest.raises(RemoteError, match="its processor is 'mips64'"):
        settle(shell)


def test_a_home_that_cannot_be_written_is_passed_over(shell, device_home):
    (device_home / ".cache").write_text("a file in the way")
    place, _ = settle(shell)
    try:
        assert place.folder in ("/data/local/tmp/edgeformer-bench", f"/var/tmp/edgeformer-bench-{os.getuid()}")
    finally:
        assert place.ask("remove", folder=place.folder) == {"removed": True}
    assert not Path(place.folder).exists()


def test_a_folder_of_others_is_not_used(shell, device_home, tmp_path):
    (device_home / ".cache/edgeformer").mkdir(parents=True)
    (device_home / ".cache/edgeformer/bench").symlink_to(tmp_path)
    place, _ = settle(shell)
    assert place.ask("remove", folder=place.folder) == {"removed": True}
    assert not place.folder.startswith(str(device_home))


def test_what_a_device_prints_is_bounded(tmp_path):
    endless = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    with pytest.raises(RemoteError, match=f"printed more than {MAX_OUTPUT_BYTES} bytes"):
        run_local([sys.executable, "-c", endless], timeout_s=600, what="pi")


def test_a_device_that_never_answers_is_given_up():
    with pytest.raises(RemoteError, match="no answer within 0 s"):
        run_local(["sleep", "600"], timeout_s=0.2, what="pi")


def test_error_output_keeps_its_end():
    code = "import sys\nfor i in range(40000): print(i, file=sys.stderr)"
    done = run_local([sys.executable, "-c", code], timeout_s=600, what="pi")
    assert done.last_lines(1) == "39999"
    assert len(done.stderr) <= 64 * 1024


def test_lines_of_progress_come_while_it_runs_without_control_characters():
    lines: list[str] = []
    run_local(["sh", "-c", "printf 'a\\033[2Jb\\nc\\n' >&2"], timeout_s=600, what="pi", progress=lines.append)
    assert lines == ["a?[2Jb", "c"]
    assert printable("\x1b]0;title\x07\x9b") == "?]0;title??"


def test_line_ends_of_ssh_are_line_ends():
    """It ends its messages in CR and LF; a lone CR, which would overwrite the line, is shown."""
    assert printable("refused\r\nclosed\r\r\nend\r") == "refused\nclosed\nend"
    assert printable("10 %\r20 %\n") == "10 %?20 %\n"
    lines: list[str] = []
    run_local(["printf", "a\\r\\nb\\r\\n"], timeout_s=600, what="pi", progress=lines.append)
    done = run_local(["sh", "-c", "printf 'a\\r\\nb\\r\\n' >&2"], timeout_s=600, what="pi", progress=lines.append)
    assert lines == ["a", "b"]
    assert done.last_lines() == "a\nb"


def test_a_flood_of_progress_is_cut_off():
    lines: list[str] = []
    flood = "import sys\nfor i in range(5000): print(i, file=sys.stderr)"
    run_local([sys.executable, "-c", flood], timeout_s=600, what="pi", progress=lines.append)
    assert len(lines) == MAX_PROGRESS_LINES


@given(st.binary(max_size=200))
def test_any_answer_is_json_or_our_error(data):
    try:
        value = read_json(data, "pi", limit=150)
    except RemoteError:
        return
    assert json.dumps(value) is not None


def test_deep_json_is_our_error():
    with pytest.raises(RemoteError, match="isn't JSON"):
        read_json(b"[" * 100_000, "pi", limit=10**6)


def test_the_agent_asks_for_what_the_facts_need(tmp_path):
    assert set(agent.facts(str(tmp_path), ["numpy"])) == set(ANSWER)
