/** tensors: a model whose outputs mean what only the caller knows. */

import { InputError } from "../errors.js";
import type { MakeTask } from "./task.js";

export const tensors: MakeTask = (spec, outputs) => ({
  spec,
  kinds: [],
  reads: outputs,
  embeds: {},
  predict: () => {
    throw new InputError("task tensors: outputs have no meaning here: use session.run");
  },
});
