// The instruction sets that kernels are chosen by: "AVX2" (with FMA and F16C), "AVX512" (F, DQ, BW, VL), "NEON",
// "NEON DOTPROD" (with SDOT), and two for which there is no kernel, "VNNI" (of AVX or AVX512) and "I8MM" (of Arm).
#pragma once

namespace edgeformer {

bool covers(const char* name);  // this CPU, and its operating system

// EDGEFORMER_KERNELS_ISA=AVX512|AVX2|NEON|none limits the choice, for tests and comparisons.
bool is_allowed(const char* name);
bool is_asked_for(const char* name);

}  // namespace edgeformer
