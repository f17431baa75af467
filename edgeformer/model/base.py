"""Model: a torch module, what goes in and out of it, and where it came from."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import MAIN, TaskSpec, TensorSpec

from ..errors import ModelError
from ..tasks import get_task
from ..tasks.module import TaskModule, TaskOptions, TupleModule
from ..tasks.tower import Tower
from .signature import Signature


@dataclass(frozen=True)
class Part:
    """One graph of a model: a module that takes ``inputs`` positionally and returns a tuple of ``outputs``."""

    graph: str
    module: torch.nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example_inputs: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Model:
    """A model between two passes. A pass returns a new one; ``module`` is never changed in place.

    ``untrained`` names parameters that no file provided (a freshly made head): an adapter may bring them, and what is
    left when the passes are done is refused, since random weights would be published otherwise.
    """

    module: torch.nn.Module
    name: str
    signature: Signature
    example_inputs: tuple[torch.Tensor, ...]
    options: TaskOptions = field(default_factory=TaskOptions)
    architecture: str = "generic"  # transformers' model_type
    max_length: int | None = None  # longest sequence the position embeddings allow
    untrained: frozenset[str] = frozenset()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what of the directory was read otherwise than it says, or left out; for the report

    @property
    def task(self) -> TaskSpec:
        """What the model is for."""
        return self.signature.task

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What goes in, in order."""
        return self.signature.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What comes out, in order."""
        return self.signature.outputs

    @property
    def tokenizer(self) -> str | None:
        """The text of tokenizer.json; None for a model that has none."""
        return None if self.signature.text is None else self.signature.text.tokenizer

    def with_text(self, **changes: Any) -> Model:
        """The same model whose texts become tokens otherwise; ``changes`` are fields of ``TextInput``.

        Raises:
            ModelError: it has no tokenizer.
        """
        if self.signature.text is None:
            raise ModelError(f"model {self.name}: has no tokenizer, so nothing can change what texts become")
        return replace(self, signature=self.signature.with_text(replace(self.signature.text, **changes)))

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
        regression = get_task(self.task).regresses and width == 1
        task = replace(self.task, labels=labels, regression=regression)
        return replace(self, signature=replace(self.signature, task=task, outputs=get_task(task).output_specs(width)))

    def callable_module(self) -> torch.nn.Module:
        """The module as exporters and verification call it: tensors in the order of ``inputs``, a tuple out."""
        task = get_task(self.task)
        if task.own_module:
            return TupleModule(self.module).eval()
        return TaskModule(self.module, task, [spec.name for spec in self.inputs], self.options).eval()

    def parts(self) -> tuple[Part, ...]:
        """What is exported: the whole as one graph, or each graph that the task has."""
        graphs = get_task(self.task).graphs
        if not graphs:
            return (Part(MAIN, self.callable_module(), self.inputs, self.outputs, self.example_inputs),)
        return tuple(self._part(graph, *graphs[graph]) for graph in graphs)

    def _part(self, graph: str, roles: Sequence[str], output: str) -> Part:
        taken = [index for index, spec in enumerate(self.inputs) if spec.role in roles]
        inputs = tuple(self.inputs[index] for index in taken)
        return Part(
            graph,
            Tower(self.module, graph, [spec.name for spec in inputs]).eval(),
            inputs,
            tuple(spec for spec in self.outputs if spec.name == output),
            tuple(self.example_inputs[index] for index in taken),
        )

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
        results = TupleModule(module)(*examples)
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
        signature=Signature(TaskSpec("tensors"), specs, outputs),
        example_inputs=examples,
        provenance={"model": type(module).__qualname__},
    )


def _named(shape: Sequence[int], names: Mapping[int, str]) -> tuple[int | str, ...]:
    return tuple(names.get(axis, int(size)) for axis, size in enumerate(shape))
