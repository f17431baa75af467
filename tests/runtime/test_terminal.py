"""What libraries write stays off the terminal, whichever way they write it; what we write arrives."""

import os
import re
import subprocess
import sys

import pytest

from edgeformer_runtime.terminal import err, only_our_lines, out, redirected, say, tell

# as libraries write: a print, a warning, a handler made before, a C function, a descriptor, a child of their own
NOISE = """
import ctypes, logging, os, subprocess, sys, warnings
from edgeformer_runtime.terminal import only_our_lines, say, tell
logging.basicConfig()
kept_stream = sys.stderr
def noise():
    print("NOISE print")
    warnings.warn("NOISE warning")
    logging.getLogger("library").error("NOISE log")
    kept_stream.write("NOISE through a stream that was kept\\n")
    os.write(1, b"NOISE descriptor 1\\n")
    os.write(2, b"NOISE descriptor 2\\n")
    library = ctypes.CDLL(None)
    library.puts(b"NOISE from C")
    library.fflush(None)
    subprocess.run([sys.executable, "-c", "print('NOISE of a child')"])
"""


def python(code, **settings):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, **settings)


def test_noise_of_every_kind_is_kept_away():
    done = python(f"{NOISE}\nwith only_our_lines():\n say('result'); noise(); tell('progress')\nprint('after')")
    assert done.stdout == "result\nafter\n"
    assert done.stderr == "progress\n"


def test_without_the_block_the_same_noise_arrives():
    done = python(f"{NOISE}\nnoise()")
    assert len(re.findall("NOISE", done.stdout)) == 4
    assert len(re.findall("NOISE (?!warning.\\)$)", done.stderr)) >= 4


def test_debug_shows_the_noise_on_standard_error_alone():
    done = python(f"{NOISE}\nwith only_our_lines(debug=True):\n say('result'); noise()")
    assert done.stdout == "result\n"
    for what in ("print", "warning", "log", "through", "descriptor 1", "descriptor 2", "from C", "of a child"):
        assert f"NOISE {what}" in done.stderr


def test_an_error_leaves_the_block_and_the_streams_are_restored():
    done = python(f"{NOISE}\nwith only_our_lines():\n noise()\n raise SystemExit('what went wrong')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "what went wrong\n")


def test_a_crash_of_the_process_is_not_silent():
    done = python(f"{NOISE}\nwith only_our_lines():\n noise(); ctypes.string_at(0)")
    assert done.returncode < 0
    assert "Segmentation fault" in done.stderr
    assert "NOISE" not in done.stdout + done.stderr


def test_a_terminal_that_is_not_utf8(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = python(f"{NOISE}\nwith only_our_lines():\n say('a…'); tell('b→')")
    assert done.stdout == "a\\u2026\n"
    assert done.stderr == "b\\u2192\n"


def test_a_closed_reader_raises_where_it_can_be_told():
    flood = " try:\n  [say('x' * 9999) for _ in range(99)]\n except OSError as e:\n  tell(type(e).__name__)"
    code = f"{NOISE}\nwith only_our_lines():\n{flood}"
    command = f"'{sys.executable}' -c \"$CODE\" | head -c 10 >/dev/null"
    done = subprocess.run(["bash", "-c", command], env={**os.environ, "CODE": code}, capture_output=True, text=True)
    assert done.stderr == "BrokenPipeError\n"


def test_streams_of_a_test_or_notebook_stay_ours(capsys):
    with only_our_lines():
        with only_our_lines():  # within one, another changes nothing
            say("result")
        tell("progress")
        print("NOISE")
    assert capsys.readouterr() == ("result\n", "progress\n")
    assert (out(), err()) == (sys.stdout, sys.stderr)


def test_redirected_takes_descriptors_and_gives_them_back(tmp_path, capfd):
    with (tmp_path / "said").open("w") as file, redirected(file.fileno()):
        subprocess.run([sys.executable, "-c", "import os; os.write(1, b'one'); os.write(2, b'two')"], check=True)
    subprocess.run([sys.executable, "-c", "print('back')"], check=True)
    assert (tmp_path / "said").read_text() == "onetwo"
    assert capfd.readouterr() == ("back\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_a_long_line_of_progress_is_wrapped_on_a_terminal_alone():
    import pty

    code = "from edgeformer_runtime.terminal import tell\ntell('[   1.0 s] ' + 'word ' * 30 + 'x' * 90, hang=11)"
    long = "[   1.0 s] " + "word " * 30 + "x" * 90 + "\n"
    assert python(code).stderr == long
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True)
    os.close(theirs)
    shown = b""
    while b"x\r\n" not in shown:
        shown += os.read(ours, 4096)
    os.close(ours)
    lines = shown.decode().splitlines()
    assert [len(line) <= 80 for line in lines] == [True, True, True, False]  # the last is one word, kept whole
    assert all(line.startswith(" " * 11 + "w") for line in lines[1:-1])
    assert "".join(lines).split() == long.split()
