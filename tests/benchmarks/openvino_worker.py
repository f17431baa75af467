"""OpenVINO with NNCF's int8 in an environment of its own: `openvino_worker.py MODEL.onnx fp32|int8 LENGTH THREADS`."""

import sys
import time

import numpy as np
import openvino as ov


def main(path: str, precision: str, length: int, threads: int) -> None:
    core = ov.Core()
    model = core.read_model(path)
    rng = np.random.default_rng(0)

    def feeds() -> dict:
        ids = rng.integers(1000, 20000, (1, length))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    label = f"OpenVINO {ov.__version__.split('-')[0]}"
    if precision == "int8":
        import nncf

        data = nncf.Dataset([feeds() for _ in range(16)])
        model = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=16)
        label += f", NNCF {nncf.__version__}"
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    inputs = feeds()
    request.infer(inputs)
    print("ready", label, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        request.infer(inputs)
        print("ms", (time.perf_counter() - start) * 1e3, flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
