"""The image processor of a model directory, as transformers itself would configure it, in a bundle's numbers.

The reference is transformers' processor on Pillow. The one on torchvision, which transformers takes where torchvision
is installed, differs from it by up to one level of 255, and with the CPU: nothing that a format could be written by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess, ImageResize

from ..errors import InputError, ModelError
from .files import read_json

_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class _Processor:
    """What a class of transformers takes where its file says nothing."""

    resample: int = 3
    image_mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    image_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    size: Mapping[str, int] = field(default_factory=lambda: {"height": 224, "width": 224})
    crop_size: Mapping[str, int] | None = None
    default_to_square: bool = True
    do_resize: bool = True
    do_center_crop: bool = False
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    do_convert_rgb: bool = False


_SQUARE = {"height": 224, "width": 224}
_SHORTEST = _Processor(
    image_mean=_CLIP_MEAN, image_std=_CLIP_STD, size={"shortest_edge": 224}, crop_size=_SQUARE,
    default_to_square=False, do_center_crop=True, do_convert_rgb=True,
)  # fmt: skip
_PROCESSORS = {
    "ViT": _Processor(resample=2),
    "DeiT": _Processor(size={"height": 256, "width": 256}, crop_size=_SQUARE, do_center_crop=True),
    "Bit": _SHORTEST,
    "CLIP": _SHORTEST,
    "Beit": _Processor(crop_size=_SQUARE),
    "Siglip": _Processor(default_to_square=False, do_convert_rgb=True),
}
# What transformers takes for a family whose files name no class.
_OF_FAMILY = {
    "vit": "ViT", "swin": "ViT", "swinv2": "ViT", "deit": "DeiT", "dinov2": "Bit", "dinov2_with_registers": "Bit",
    "beit": "Beit", "clip": "CLIP", "clip_vision_model": "CLIP", "siglip": "Siglip", "siglip_vision_model": "Siglip",
}  # fmt: skip
# Pillow's numbers
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
# Keys that change no pixel of a picture: names, the caller's wishes, and what is done to segmentation maps.
_HARMLESS = {
    "image_processor_type", "feature_extractor_type", "processor_class", "auto_map", "model_input_names",
    "_valid_processor_keys", "_name_or_path", "transformers_version", "data_format", "input_data_format",
    "return_tensors", "device", "disable_grouping", "do_reduce_labels", "reduce_labels",
}  # fmt: skip
# Keys that change pixels unless they are false: what each would do.
_NOT_CARRIED = {
    "do_pad": "pads pictures",
    "do_flip_channel_order": "feeds BGR",
    "use_square_size": "sets a size of its own",
}
_MODIFIERS = {"pad_size"}  # of those
_BASE_NAMES = ("ImageProcessor", "FeatureExtractor")


def load_image_preprocess(directory: Path) -> ImagePreprocess | None:
    """The numbers of the directory's image processor; None where it has no file of one.

    Read are "image_processor" of processor_config.json, else preprocessor_config.json, as transformers does.

    Raises:
        ModelError: a processor of another kind, or a key that changes pixels in a way that no bundle carries, by name.
    """
    path, config = _config(directory)
    if config is None:
        return None
    values = _Values(path, config, _PROCESSORS[_class_name(directory, path, config)])
    for key, what in _NOT_CARRIED.items():
        if config.get(key):
            values.refuse(key, f"{what}, which a bundle can't carry")
    for key in sorted(set(config) - set(_Processor.__dataclass_fields__) - _HARMLESS - set(_NOT_CARRIED) - _MODIFIERS):
        if config[key] is not None:
            values.refuse(key, "unknown here, it may change pixels. Take it out if it doesn't")
    try:
        return _preprocess(values)
    except InputError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: {error}") from error


def _config(directory: Path) -> tuple[Path, dict[str, Any] | None]:
    path = directory / "processor_config.json"
    if path.is_file():
        nested = read_json(path).get("image_processor")
        if isinstance(nested, dict):
            return path, nested
    path = directory / "preprocessor_config.json"
    return path, read_json(path) if path.is_file() else None


def _class_name(directory: Path, path: Path, config: Mapping[str, Any]) -> str:
    """A key of _PROCESSORS."""
    full = config.get("image_processor_type") or config.get("feature_extractor_type")
    if full is None and "auto_map" in config:
        raise ModelError(
            f"{path}: its image processor is code of its own ({config['auto_map']}), which no bundle carries"
        )
    if full is None:
        family = read_json(directory / "config.json").get("model_type")
        if family in _OF_FAMILY:
            return _OF_FAMILY[family]
        raise ModelError(f"{path}: names no image_processor_type, and a model of type {family!r} implies none")
    name = str(full).removesuffix("Fast").removesuffix("Pil")
    for base in _BASE_NAMES:
        if name.removesuffix(base) in _PROCESSORS:
            return name.removesuffix(base)
    known = ", ".join(f"{name}ImageProcessor" for name in _PROCESSORS)
    raise ModelError(f"{path}: image_processor_type {full!r}: expected one of {known}")


@dataclass(frozen=True)
class _Values:
    """What transformers would take: the file's value, even null, and the class's where that is missing."""

    path: Path
    config: Mapping[str, Any]
    defaults: _Processor

    def __getitem__(self, key: str) -> Any:
        return self.config[key] if key in self.config else getattr(self.defaults, key)

    def refuse(self, key: str, why: str) -> NoReturn:
        value = self.config.get(key, getattr(self.defaults, key, None))
        raise ModelError(f"{self.path}: key {key!r} ({str(value)[:80]}): {why}")

    def number(self, key: str) -> float:
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, "expected a number")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self[key]
        if not isinstance(value, bool | None):
            self.refuse(key, "expected true or false")
        return bool(value)

    def sides(self, key: str, square: bool) -> dict[str, int]:
        """{"height", "width"} or {"shortest_edge"} of a number, a list [height, width], or an object of either."""
        value = self[key]
        if isinstance(value, int):
            value = {"height": value, "width": value} if square else {"shortest_edge": value}
        elif isinstance(value, list) and len(value) == 2:
            value = {"height": value[0], "width": value[1]}
        good = isinstance(value, Mapping) and set(value) in ({"height", "width"}, {"shortest_edge"})
        if not good or not all(type(side) is int for side in value.values()):
            self.refuse(key, "expected height and width, or shortest_edge alone, in whole pixels")
        return dict(value)

    def channels(self, key: str, count: int) -> tuple[float, ...]:
        """A number for each channel; one number is for all."""
        value = self[key]
        numbers = list(value) if isinstance(value, (list, tuple)) else [value] * count
        if not all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
            self.refuse(key, "expected numbers")
        return tuple(float(number) for number in numbers)


def _preprocess(values: _Values) -> ImagePreprocess:
    to_rgb = values.flag("do_convert_rgb")
    mean = values["image_mean"]
    grey = not to_rgb and isinstance(mean, list) and len(mean) == 1
    count = 1 if grey else 3
    normalize = values.flag("do_normalize")
    return ImagePreprocess(
        mean=values.channels("image_mean", count) if normalize else (0.0,) * count,
        std=values.channels("image_std", count) if normalize else (1.0,) * count,
        resize=_resize(values) if values.flag("do_resize") else None,
        crop=_crop(values) if values.flag("do_center_crop") else None,
        color="L" if grey else "RGB",
        # A processor that converts lays what is transparent over white. One that doesn't leaves it to its caller, and
        # everybody calls Pillow's convert("RGB").
        alpha="white" if to_rgb else "drop",
        rescale=values.number("rescale_factor") if values.flag("do_rescale") else 1.0,
    )


def _resize(values: _Values) -> ImageResize:
    resample = values["resample"]
    if type(resample) is not int or resample not in _FILTERS:
        values.refuse("resample", f"expected one of Pillow's filters, {min(_FILTERS)} to {max(_FILTERS)}")
    size = values.sides("size", values.flag("default_to_square"))
    mode = "exact" if "height" in size else "shortest"
    sides = (size["height"], size["width"]) if mode == "exact" else (size["shortest_edge"],)
    return ImageResize(sides, mode, _FILTERS[resample])


def _crop(values: _Values) -> tuple[int, int]:
    if values["crop_size"] is None:
        values.refuse("do_center_crop", "expected a crop_size beside it")
    size = values.sides("crop_size", square=True)
    if "height" not in size:
        values.refuse("crop_size", "expected height and width")
    return size["height"], size["width"]
