"""Which files of a model directory hold weights; what isn't weights, or isn't whole, is refused by its true name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..errors import MissingWeightsError, ModelError
from ..model.files import check_is_the_file, read_json

_WEIGHTS = "model.safetensors"
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")  # what a Trainer keeps beside them
_CONVERT = "Load it where it was made and save it as safetensors with save_pretrained"
_OTHER_FORMATS = {  # pattern -> whose weights these are, and what to do
    "tf_model*.h5": ("TensorFlow's", "transformers 4 converts them: from_pretrained(…, from_tf=True), then "
                     "save_pretrained"),
    "model.ckpt*.index": ("TensorFlow's", "transformers' convert_*_original_tf_checkpoint_to_pytorch converts them"),
    "flax_model*.msgpack": ("Flax's", "transformers 4 converts them: from_pretrained(…, from_flax=True), then "
                            "save_pretrained"),
    "*.gguf": ("GGUF, quantized for llama.cpp", "Give the model that it was made from"),
    "*.onnx": ("an exported ONNX graph", "Give the model that it was exported from"),
    "onnx/*.onnx": ("an exported ONNX graph", "Give the model that it was exported from"),
    "openvino_model.xml": ("OpenVINO's", "Give the model that it was exported from"),
    "*.ckpt": ("a Lightning checkpoint, a pickle", _CONVERT),
    "*.pt": ("a pickle", _CONVERT),
    "*.pth": ("a pickle", _CONVERT),
    "global_step*/*": ("a DeepSpeed checkpoint's shards", "zero_to_fp32.py, which lies beside them, joins them"),
    "pytorch_model_fsdp*/*": ("an FSDP checkpoint's shards", "`accelerate merge-weights` joins them"),
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file: its type as the format names it ("F32", "BF16", "F8_E4M3"), and its shape."""

    dtype: str
    shape: tuple[int, ...]


def check_weights(directory: Path, *, allow_pickle: bool) -> None:
    """Refuse missing, truncated or pickled weights before anything heavy is imported.

    Raises:
        MissingWeightsError: no weights that can be read here.
        ModelError: a pickle without ``allow_pickle``, or a damaged safetensors file.
    """
    files = _safetensors(directory)
    if files and (directory / "adapter_config.json").is_file():  # transformers would put it in beside the layers
        raise ModelError(
            f"model {directory}: holds an adapter (adapter_config.json) beside the model's own weights. Put the "
            "adapter's files into a folder of their own and give it with --adapter, or take them away"
        )
    if files:
        for path in files:
            _tensors(path)
        return
    pickles = _matching(directory, "*.bin")
    if not pickles:
        raise MissingWeightsError(f"model {directory}: {_what_is_there(directory)}")
    check_is_the_file(directory / pickles[0])
    if not allow_pickle:
        raise ModelError(
            f"model {directory}: its weights are a pickle ({pickles[0]}), which can run code when it is opened. "
            "Save it with safetensors, or pass --allow-pickle (it is then read with weights_only)"
        )


def stored_tensors(directory: Path) -> dict[str, StoredTensor]:
    """Every tensor in the directory's safetensors files, by name; {} where its weights are a pickle."""
    return {name: tensor for path in _safetensors(directory) for name, tensor in _tensors(path).items()}


def _safetensors(directory: Path) -> list[Path]:
    index = directory / f"{_WEIGHTS}.index.json"
    single = directory / _WEIGHTS
    if single.is_file() or single.is_symlink():  # transformers prefers it too
        return [single]
    if not index.is_file():
        return []
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table or not all(isinstance(shard, str) for shard in table.values()):
        raise ModelError(f"{index}: weight_map is not a table of tensors to files: save the model again")
    shards = sorted(set(table.values()))
    missing = [shard for shard in shards if not (directory / shard).is_file()]
    if missing:
        raise MissingWeightsError(
            f"{index}: names {len(shards)} shards, and {len(missing)} aren't there: {_some(missing)}. Fetch them"
        )
    return [directory / shard for shard in shards]


def _tensors(path: Path) -> dict[str, StoredTensor]:
    check_is_the_file(path)
    try:
        with safe_open(str(path), framework="np") as file:
            names = list(file.keys())
            slices = {name: file.get_slice(name) for name in names}
            found = {name: StoredTensor(s.get_dtype(), tuple(s.get_shape())) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged or truncated safetensors file: {error}. Fetch it again") from error
    if not found:
        raise ModelError(f"{path}: holds no tensors")
    return found


def _what_is_there(directory: Path) -> str:
    """Why there are no weights: what lies there in their place."""
    if (directory / "adapter_config.json").is_file():
        return "holds an adapter, not a model. Give the model that it was trained on, and this with --adapter"
    for pattern, (whose, advice) in _OTHER_FORMATS.items():
        found = _matching(directory, pattern)
        if found:
            return f"no {_WEIGHTS} there: its weights are {whose} ({_some(found)}). {advice}"
    others = sorted(path.name for path in directory.glob("*.safetensors"))
    if others:
        return f"no {_WEIGHTS} there, but {_some(others)}. If these are the weights, give them that name"
    deeper = sorted(path.parent.name for path in directory.glob(f"*/{_WEIGHTS}"))
    if deeper:
        return f"no {_WEIGHTS} there. Did you mean {directory / deeper[-1]}?"
    return f"no {_WEIGHTS} there, nor an index of shards"


def _matching(directory: Path, pattern: str) -> list[str]:
    found = (path.relative_to(directory).as_posix() for path in directory.glob(pattern))
    return sorted(name for name in found if not name.startswith(_NO_WEIGHTS))


def _some(names: Iterable[str], limit: int = 3) -> str:
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
