/** Fields of a variant that only other engines act on: read for their types alone, so that a wrong one is refused. */

import {
  boolean,
  Fields,
  integer,
  listOf,
  nullable,
  number,
  objectOf,
  oneOf,
  string,
  wrong,
  type Read,
} from "./json_fields.js";
import type { Verification } from "./manifest.js";

/** See FORMAT.md, `verification`. */
export const verification: Read<Verification> = (value, where) => {
  const fields = new Fields(value, where);
  fields.take("executed_by", string);
  fields.take("on_device", boolean);
  const samples = fields.take("samples", integer(0));
  for (const key of ["cosine_min", "cosine_mean", "max_abs_error"]) fields.take(key, number);
  for (const key of ["similarity_min", "similarity_p01", "agreement", "metric_drop"]) {
    fields.optional(key, nullable(number), null);
  }
  const metricName = fields.optional("metric_name", nullable(string), null);
  const metric = fields.optional("metric", nullable(number), null);
  fields.finish();
  return { samples, metricName, metric };
};

/** See FORMAT.md, `tensorrt`. */
export const tensorrt: Read<void> = (value, where) => {
  const fields = new Fields(value, where);
  fields.optional("precision", nullable(oneOf(["fp16", "fp32"])), null);
  fields.optional("profiles", objectOf(profile, Infinity), {});
  fields.optional("workspace_bytes", nullable(integer(1)), null);
  fields.optional("dla_core", nullable(integer(0, 1)), null);
  fields.finish();
};

const anyInteger = integer(-(2 ** 63));

const profile: Read<void> = (value, where) => {
  const fields = new Fields(value, where);
  for (const key of ["min", "opt", "max"]) fields.take(key, listOf(anyInteger));
  fields.finish();
};

/** See FORMAT.md, `local_attention`. */
export const localAttention: Read<void> = (value, where) => {
  const fields = new Fields(value, where);
  fields.take("head_dims", listOf(anyInteger));
  fields.take("dtype", string);
  fields.take("kernel_version", anyInteger);
  fields.finish();
};

/** See FORMAT.md, `full_attention`. */
export const fullAttention: Read<void> = (value, where) => {
  const fields = new Fields(value, where);
  fields.take("below_positions", listOf(integer(1)));
  fields.take("decided_by", (item, place) => {
    if (typeof item === "string") oneOf(["input", "signature"])(item, place);
    else integer(1)(item, place);
  });
  fields.finish();
};
