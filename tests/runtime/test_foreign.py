"""Foreign exceptions, from libraries that are really here and really fail."""

import errno
import json

import numpy as np
import pytest

from edgeformer_runtime.errors import InputError, InternalError
from edgeformer_runtime.foreign import debugging, first_line, foreign_errors, library_of


def raised_by(work):
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def engine_error():
    onnxruntime = pytest.importorskip("onnxruntime")
    onnxruntime.InferenceSession(b"no model")


def test_a_library_is_named_with_its_version():
    with pytest.raises(InternalError) as caught, foreign_errors("stage export onnx"):
        np.linalg.inv(np.zeros((2, 2)))
    text = str(caught.value)
    assert text.startswith(f"stage export onnx: numpy {np.__version__} raised: LinAlgError: Singular matrix. ")
    assert "--debug or EDGEFORMER_DEBUG=1" in text
    assert isinstance(caught.value.__cause__, np.linalg.LinAlgError)


def test_an_engine_is_named():
    assert library_of(raised_by(engine_error)).startswith("onnxruntime ")


def test_compiled_code_that_leaves_no_frame_is_found_by_its_exception():
    tokenizers = pytest.importorskip("safetensors")
    error = raised_by(lambda: tokenizers.deserialize(b"x"))
    assert library_of(error).startswith("safetensors")


def test_our_own_defect_is_called_one():
    from edgeformer_runtime.files import strict_json

    def work():
        strict_json.read_json(None)

    with pytest.raises(
        InternalError, match=r"^info: edgeformer failed in strict_json.py, line \d+: \w+Error: .*defect"
    ), foreign_errors("info"):
        work()


def test_the_standard_library_is_nobody_elses():
    assert library_of(raised_by(lambda: json.loads("{"))) is None


def test_ours_pass_and_can_be_led():
    with pytest.raises(InputError, match=r"^x$"), foreign_errors("stage load"):
        raise InputError("x")
    with pytest.raises(InputError, match=r"^pass quantize: x$"), foreign_errors("pass quantize", lead_ours=True):
        raise InputError("x")


def test_the_file_systems_errors_keep_their_number():
    with pytest.raises(OSError) as caught, foreign_errors("stage load"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(InternalError, match="OSError: no number"), foreign_errors("stage load"):
        raise OSError("no number")  # libraries raise it for whatever they don't find


def test_memory_gets_its_own_advice():
    with pytest.raises(InternalError, match=r"stage x: out of memory: .*shorter sequence lengths"), foreign_errors(
        "stage x"
    ):
        np.zeros(2**50)


def test_first_lines():
    assert first_line(ValueError("\n\n  one.\ntwo")) == "one"
    assert first_line(ValueError()) == "no message"
    assert len(first_line(ValueError("x" * 5000))) == 301


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("0", False), ("1", True)])
def test_debugging(monkeypatch, value, wanted):
    monkeypatch.setenv("EDGEFORMER_DEBUG", value)
    assert debugging(False) is wanted
    assert debugging(True)


def test_a_panic_of_rust_code_is_foreign_and_a_request_to_stop_is_not():
    class PanicException(BaseException):  # as pyo3 makes it: no Exception
        pass

    def raising(error):
        with foreign_errors("compile"):
            raise error

    with pytest.raises(InternalError, match=r"compile: .*PanicException: no entry found for key"):
        raising(PanicException("no entry found for key"))
    for stop in (KeyboardInterrupt, SystemExit):
        with pytest.raises(stop):
            raising(stop())


def test_a_line_that_ends_with_a_colon_brings_the_next():
    assert first_line(TypeError("Validation error for field 'x':\n    TypeError: expected int")) == (
        "Validation error for field 'x': TypeError: expected int"
    )
