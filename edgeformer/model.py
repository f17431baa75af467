"""Model: a torch module, what goes in and out of it, and where it came from."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.manifest import TASKS, TaskSpec, TensorSpec

from .attention import keep_windows
from .checkpoint import Checkpoint, load_checkpoint
from .config_check import check_family
from .errors import ModelError
from .exportable import make_exportable
from .family_inputs import check_inputs
from .heads import (
    AUTO_CLASSES,
    check_nothing_lost,
    labels_for_width,
    labels_of,
    names_for_head,
    numbering_note,
    task_of,
)
from .model_directory import model_directory
from .model_files import read_json
from .quantized_checkpoint import refuse_integer_weights, refuse_quantized
from .sentences.attach import attach_sentence_layers
from .sentences.cross_encoder import says_cross_encoder
from .sentences.describe import described_task
from .sentences.files import encoder_directory, read_sentence_files
from .sentences.setfit import attach_setfit_head, is_setfit, read_setfit_head
from .sentences.settings import SentenceSettings, lower_cased
from .tasks import TaskModule, TaskOptions, input_specs, output_specs
from .text_rows import Pairs, embedding_rows, row_of
from .tokenizer_files import check_ids, load_tokenizer
from .weight_files import check_weights, stored_tensors


@dataclass(frozen=True)
class Model:
    """A model between two passes. A pass returns a new one; ``module`` is never changed in place.

    ``untrained`` names parameters that no file provided (a freshly made head): an adapter may bring them, and what is
    left when the passes are done is refused, since random weights would be published otherwise.
    """

    module: torch.nn.Module
    name: str
    task: TaskSpec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example_inputs: tuple[torch.Tensor, ...]
    options: TaskOptions = field(default_factory=TaskOptions)
    architecture: str = "generic"  # transformers' model_type
    max_length: int | None = None  # longest sequence the position embeddings allow
    pad_token_id: int = 0
    tokenizer: str | None = None  # text of tokenizer.json
    pairs: bool = False  # the tokenizer makes two texts one row, and the inputs have all that it tells of them
    truncation: str = "right"  # the side of a text that is cut off
    text_length: int | None = None  # tokens that the directory's own settings cut a text to
    prompts: Mapping[str, str] = field(default_factory=dict)  # name -> what is put before a text
    default_prompt: str | None = None
    untrained: frozenset[str] = frozenset()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what of the directory was read otherwise than it says, or left out; for the report

    def with_module(self, module: torch.nn.Module) -> Model:
        """The same model around another module."""
        return replace(self, module=module)

    def with_head_width(self, width: int | None) -> Model:
        """The same model when its head now has ``width`` labels; None or the same width changes nothing.

        Raises:
            ModelError: labels were named, and their number isn't ``width``.
        """
        if width is None or width == len(self.task.labels):
            return self
        if any(not label.startswith("LABEL_") for label in self.task.labels):
            raise ModelError(
                f"the head has {width} outputs, but {len(self.task.labels)} labels are named: "
                f"{', '.join(self.task.labels)}. Name {width} labels, in the order of the outputs"
            )
        labels = tuple(f"LABEL_{index}" for index in range(width))
        regression = self.task.name == "text-classification" and width == 1
        task = replace(self.task, labels=labels, regression=regression)
        return replace(self, task=task, outputs=output_specs(task, width))

    def callable_module(self) -> torch.nn.Module:
        """The module as exporters and verification call it: tensors in the order of ``inputs``, a tuple out."""
        if self.task.name == "tensors":
            return _TupleOutput(self.module).eval()
        names = [spec.name for spec in self.inputs]
        return TaskModule(self.module, self.task.name, names, self.options).eval()

    def copy_module(self) -> torch.nn.Module:
        """An independent deep copy of the module."""
        return copy.deepcopy(self.module)

    def digest(self) -> str:
        """SHA-256 over every parameter and buffer (name, dtype, shape, bytes) and over inputs, outputs and task."""
        digest = hashlib.sha256(repr((self.task, self.options, self.inputs, self.outputs)).encode())
        digest.update(f"{type(self.module).__qualname__} {self.module}".encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def parameter_count(self) -> int:
        """Number of parameters, tied ones once."""
        return sum(parameter.numel() for parameter in self.module.parameters())


class _TupleOutput(torch.nn.Module):
    """A user's own module with its outputs as a tuple."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self.model(*tensors)
        if isinstance(result, torch.Tensor):
            return (result,)
        return tuple(result.values()) if isinstance(result, Mapping) else tuple(result)


def load_model(
    directory: str | os.PathLike[str],
    *,
    task: str | None = None,
    labels: Sequence[str] = (),
    adapters: Sequence[Path] = (),
    pair: bool = False,
    pair_rows: bool = False,
    pooling: str | None = None,
    normalize: bool | None = None,
    dimensions: int | None = None,
    allow_pickle: bool = False,
) -> Model:
    """Load a Hugging Face directory (config.json, model.safetensors, tokenizer.json).

    The task is ``task``, else the adapters' ``task_type``, else what ``architectures`` in config.json says. Labels are
    ``labels``, else ``id2label`` of an adapter's or of the model's config.json. ``pair``: a row is two texts that the
    model reads together. ``pair_rows``: so are the rows of a file, unless the task is feature extraction, which reads
    each of the two alone.

    Raises:
        ModelError: files missing or damaged, a pickle without ``allow_pickle``, an unknown family or task.
    """
    given = model_directory(directory)
    path = encoder_directory(given)
    config = read_json(path / "config.json")
    from .lora import fit_base, labels_for_head, read_adapter, tokenizer_directory  # imports transformers
    from .mask_check import own_forward, with_mask  # both know Model
    from .weights_check import check_finite

    refuse_quantized(path, config)
    check_weights(path, allow_pickle=allow_pickle)
    refuse_integer_weights(path, stored_tensors(path))
    family_notes = check_family(path, config)
    head = read_setfit_head(given) if is_setfit(given) and task in (None, "text-classification") else None
    parts = [read_adapter(adapter, allow_pickle=allow_pickle) for adapter in adapters]
    adapter_configs = [read_json(adapter / "adapter_config.json") for adapter in adapters]
    task_name = "text-classification" if head else task or task_of(given, config, adapter_configs)
    if task_name not in AUTO_CLASSES:
        raise ModelError(f"task {task_name!r}: expected one of {', '.join(AUTO_CLASSES)}")
    if head is None:
        loaded, names = _with_labels(path, config, task_name, labels, adapters, allow_pickle)
    else:
        loaded = load_checkpoint(path, "feature-extraction", None, allow_pickle)
        names = head.named(labels)
    if task is None and task_name == "feature-extraction":
        check_nothing_lost(given, config, loaded.unused)
    change = fit_base(loaded.module, parts)
    names, label_notes = labels_for_head(labels, names, change, parts)
    tokenizer, tokenizer_notes = tokenizer_directory(path, parts, loaded.module, resized=change.vocab_size is not None)
    notes = [*family_notes, *loaded.notes, *change.notes, *label_notes, *tokenizer_notes]
    module = loaded.module
    names = names if head else names_for_head(names, module, task_name)
    spec = TaskSpec(
        name=task_name,
        labels=names if "classification" in task_name else (),
        multi_label=head.multi_label if head else config.get("problem_type") == "multi_label_classification",
        regression=task_name == "text-classification" and len(names) == 1,
    )
    pair = pair or task_name == "question-answering" or (pair_rows and task_name != "feature-extraction")
    pools = task_name == "feature-extraction" or head is not None
    spec, settings, said = described_task(spec, given, path, config, pools=pools, dimensions=dimensions)
    notes += said
    cross = task_name == "text-classification" and not pools and says_cross_encoder(config, settings)
    options, width = TaskOptions(), len(names)
    if pools:
        known: Any = module.config.get_text_config()  # type: ignore[operator, union-attr]
        hidden_size = int(getattr(known, "hidden_size", None) or getattr(known, "dim", None) or 0)
        options, width = attach_sentence_layers(
            module,
            read_sentence_files(given),
            settings,
            hidden_size=hidden_size,
            pooling=pooling,
            normalize=normalize,
            allow_pickle=allow_pickle,
        )
    if head is not None:
        options, width = attach_setfit_head(module, options, width, head)
    elif is_setfit(given):
        notes.append("SetFit's head is not used")
    untrained = loaded.untrained | change.untrained
    model = _assemble(path, config, module, spec, options, Pairs(pair or cross, cross), untrained, width, tokenizer)
    model = with_text_settings(model, settings)
    model = replace(model, name=given.resolve().name, notes=(*notes, *model.notes))
    check_finite(model)
    check_inputs(module, model.name, model.architecture)
    own = own_forward(model)  # before anything in the module is written otherwise
    keep_windows(module, task_name)
    make_exportable(module)
    return with_mask(model, own)


def _with_labels(
    path: Path,
    config: Mapping[str, Any],
    task: str,
    labels: Sequence[str],
    adapters: Sequence[Path],
    allow_pickle: bool,
) -> tuple[Checkpoint, tuple[str, ...]]:
    """The checkpoint with its head at its true width, and the labels known of it; the checkpoint's notes say how."""
    names = tuple(labels) or labels_of(config, path, adapters)
    loaded = load_checkpoint(path, task, len(names) or None, allow_pickle)
    notes: list[str] = []
    if loaded.head_width is not None and labels:  # an adapter may bring the head that the labels are for
        notes.append(f"the trained head in the file has {loaded.head_width} outputs, --labels names {len(labels)}")
    elif loaded.head_width is not None and not adapters:
        names, note = labels_for_width(path, names, loaded.head_width)
        notes.append(note)
        loaded = load_checkpoint(path, task, len(names), allow_pickle)
    numbering = numbering_note(config) if names and not labels else None
    notes += [numbering] if numbering else []
    return replace(loaded, notes=(*notes, *loaded.notes)), names


def from_module(
    module: torch.nn.Module,
    example_inputs: Mapping[str, torch.Tensor],
    *,
    name: str = "model",
    output_names: Sequence[str] = (),
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Model:
    """A Model around any ``nn.Module`` that takes the example's tensors positionally and returns tensors.

    ``dynamic`` names dimensions that vary, {input: {axis: "batch" | "sequence"}}; by default axis 0 is "batch".
    """
    module = module.eval()
    dynamic = dynamic or {key: {0: "batch"} for key in example_inputs}
    specs = tuple(
        TensorSpec(key, str(value.dtype).removeprefix("torch."), _named(value.shape, dynamic.get(key, {})))
        for key, value in example_inputs.items()
    )
    examples = tuple(example_inputs.values())
    with torch.no_grad():
        results = _TupleOutput(module)(*examples)
    names = tuple(output_names) or tuple(f"output_{index}" for index in range(len(results)))
    if len(names) != len(results):
        raise ModelError(f"model {name}: {len(results)} outputs, but {len(names)} output names")
    sizes = {
        int(value.shape[axis]): label
        for key, value in example_inputs.items()
        for axis, label in dynamic.get(key, {}).items()
        if label != "batch"
    }
    outputs = tuple(
        TensorSpec(label, "float32", ("batch", *(sizes.get(int(d), int(d)) for d in result.shape[1:])))
        for label, result in zip(names, results, strict=True)
    )
    return Model(
        module=module,
        name=name,
        task=TaskSpec("tensors"),
        inputs=specs,
        outputs=outputs,
        example_inputs=examples,
        provenance={"model": type(module).__qualname__},
    )


def _named(shape: Sequence[int], names: Mapping[int, str]) -> tuple[int | str, ...]:
    return tuple(names.get(axis, int(size)) for axis, size in enumerate(shape))


def _assemble(
    path: Path,
    config: Mapping[str, Any],
    module: torch.nn.Module,
    task: TaskSpec,
    options: TaskOptions,
    pairs: Pairs,
    untrained: frozenset[str],
    width: int,
    tokenizer: Path,
) -> Model:
    known: Any = module.config.get_text_config()  # type: ignore[operator, union-attr]  # knows every family's own names
    pad = max(0, int(getattr(known, "pad_token_id", None) or 0))
    text = load_tokenizer(tokenizer, module.config)
    if text is not None:
        text = replace(text, json=check_ids(text.json, embedding_rows(module), tokenizer))
    row = row_of(module, text, task.name, pairs, path)
    example = torch.arange(2 * 16).reshape(2, 16) % 97 + 5  # any valid tokens: tracing needs shapes, not meaning
    zeros = torch.zeros_like(example)
    return Model(
        module=module,
        name=path.resolve().name,
        task=task,
        inputs=input_specs(row.inputs, pad),
        outputs=output_specs(task, width),
        example_inputs=(example, torch.ones_like(example), zeros)[: len(row.inputs)],
        options=options,
        architecture=str(config.get("model_type", "generic")),
        max_length=_max_length(module, known),
        pad_token_id=pad,
        tokenizer=None if text is None else text.json,
        pairs=row.pairs,
        truncation="right" if text is None else text.truncation,
        text_length=None if text is None else text.max_length,
        untrained=untrained,
        provenance={"model": path.resolve().name, "config": json.dumps(config, sort_keys=True)},
        notes=row.notes,
    )


def with_text_settings(model: Model, settings: SentenceSettings) -> Model:
    """The model with what sentence-transformers does to a text before and while it is tokenized."""
    tokenizer = model.tokenizer
    if tokenizer is not None and settings.lower_case:
        tokenizer = lower_cased(tokenizer)
    return replace(
        model,
        tokenizer=tokenizer,
        text_length=settings.max_tokens or model.text_length,
        prompts=settings.prompts,
        default_prompt=settings.default_prompt,
    )


def _max_length(module: torch.nn.Module, config: Any) -> int | None:
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    if type(positions) is not int or positions < 1:  # some families write -1 for "any"
        return None
    if getattr(config, "attention_type", None) == "block_sparse":
        # BigBird attends to everything up to here; beyond, to random blocks, which would be other ones in each file
        return min(positions, (5 + 2 * int(config.num_random_blocks)) * int(config.block_size))
    # RoBERTa and its children count positions from padding_idx + 1 on, so the first rows are never used
    offsets = [
        int(table.padding_idx) + 1
        for path, table in module.named_modules()
        if path.endswith("position_embeddings") and getattr(table, "padding_idx", None) is not None
    ]
    return positions - max(offsets, default=0)


__all__ = ["TASKS", "Model", "from_module", "load_model"]
