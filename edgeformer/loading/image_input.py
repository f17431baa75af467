"""The input of a model of pictures, by preprocessor_config.json."""

from __future__ import annotations

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess

from ..errors import ModelError
from ..model.image_files import load_image_preprocess
from .sources import Files


def image_input(files: Files, name: str) -> tuple[ImagePreprocess, tuple[int, int], TensorSpec]:
    """How pictures become pixels, their height and width, and the input float32 [batch, channels, height, width].

    Raises:
        ModelError: the directory has no image processor, or one that no bundle carries.
    """
    preprocess = load_image_preprocess(files.path)
    if preprocess is None:
        raise ModelError(
            f"model {name}: has no preprocessor_config.json, which says how pictures become pixels. Save the image "
            "processor that it was trained with into the directory (processor.save_pretrained(…))"
        )
    shape = preprocess.shape
    return preprocess, (shape[1], shape[2]), TensorSpec(preprocess.input, "float32", ("batch", *shape), role="pixels")
