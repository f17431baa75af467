/** Which kind of preprocessing feeds which of a model's inputs. */

import type { Role, TensorSpec } from "../bundle/manifest.js";
import type { Kind } from "../tasks/base.js";

const ROLES_OF: Readonly<Record<Kind, readonly Role[]>> = {
  text: ["tokens", "mask", "token_types"],
  image: ["pixels"],
  audio: ["samples", "features", "mask"],
};

/** Those of a model's `inputs` that preprocessing of `kind` makes; all of them where `kinds` has no other. */
export function inputsFedBy(kind: Kind, kinds: Iterable<Kind>, inputs: readonly TensorSpec[]): readonly TensorSpec[] {
  const others = [...kinds].filter((other) => other !== kind).flatMap((other) => ROLES_OF[other]);
  return inputs.filter(
    (item) => item.role === null || ROLES_OF[kind].includes(item.role) || !others.includes(item.role),
  );
}
