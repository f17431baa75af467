"""Names of tensors in a file against the names that a model has: wrappers' prefixes, and what is left over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from .errors import ModelError

# what torch.compile, FSDP, activation checkpointing and DataParallel put into the middle of names
WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|module)\.")


def renaming(unused: Collection[str], missing: Collection[str], all_names: int, model: str) -> dict[str, str]:
    """New names for those in the file, without the prefixes of wrappers; {} where they have none.

    Args:
        unused: names in the file that the model doesn't have.
        missing: the model's names that the file doesn't have.
        all_names: how many names the model has; a prefix that explains less than half of them is none.
        model: what the error calls the model.

    Raises:
        ModelError: two prefixes would serve equally, as in a file that holds a student and its teacher.
    """
    unwrapped = {name: WRAPPERS.sub("", name) for name in unused}
    if 2 * len(set(unwrapped.values()) & set(missing)) >= all_names:
        return {old: new for old, new in unwrapped.items() if old != new}
    served: dict[str, set[str]] = {}
    for new in unwrapped.values():
        for prefix, rest in _splits(new):
            if rest in missing:
                served.setdefault(prefix, set()).add(rest)
    enough = sorted(prefix for prefix, names in served.items() if 2 * len(names) >= all_names)
    if len(enough) > 1:
        raise ModelError(
            f"model {model}: its tensors occur under {' and under '.join(map(repr, enough))}: which of them is wanted "
            "can't be known. Save that one alone, with save_pretrained"
        )
    return {old: new.removeprefix(p) for p in enough for old, new in unwrapped.items() if new.startswith(p)}


def _splits(name: str) -> Iterable[tuple[str, str]]:
    for position, character in enumerate(name):
        if character == ".":
            yield name[: position + 1], name[position + 1 :]


def taken_off(renamed: Mapping[str, str]) -> str:
    """What ``renaming`` took out of the names, for a note: "'model.', '_orig_mod.'"."""
    found = Counter[str]()
    for old, new in renamed.items():
        found.update(match.group(0) for match in WRAPPERS.finditer(old))
        prefix = WRAPPERS.sub("", old).removesuffix(new)
        found.update([prefix] if prefix else [])
    return ", ".join(repr(prefix) for prefix, _ in found.most_common())


def groups(names: Collection[str], others: Collection[str]) -> dict[str, int]:
    """Names by the shortest prefix that no name of ``others`` has, made as long as all names under it allow.

    >>> groups(["cls.predictions.bias", "cls.predictions.dense.bias"], ["bert.pooler.bias"])
    {'cls.predictions': 2}
    """
    taken = {prefix for other in others for prefix, _ in _splits(other)}
    by_prefix: dict[str, list[str]] = {}
    for name in sorted(names):
        prefix = next((prefix for prefix, _ in _splits(name) if prefix not in taken), name)
        by_prefix.setdefault(prefix, []).append(name)
    return {_common(members): len(members) for members in by_prefix.values()}


def _common(names: list[str]) -> str:
    """The longest run of whole parts that all ``names`` begin with; a single name is itself."""
    parts = [name.split(".") for name in names]
    if len(parts) == 1:
        return names[0]
    shared = 0
    while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    return ".".join(parts[0][:shared]) or names[0]


def grouped_text(names: Collection[str], others: Collection[str]) -> str:
    """ "197 tensors under cls.predictions, classifier.weight": what ``groups`` found, in words."""
    found = groups(names, others)
    return ", ".join(name if count == 1 else f"{count} tensors under {name}" for name, count in found.items())
