// Local attention on the CPU: what is computed, and how it is cut into tasks. Nothing here knows ONNX Runtime.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgeformer {

constexpr int kLocalAttentionVersion = 1;

enum class Dtype { kFloat32, kFloat16 };

// Query i sees key j iff keep[j] and ((j - i) is a multiple of dilation and -left <= (j - i) / dilation <= right, or j
// is global, or i is global), and, when causal, j <= i. A query that sees nothing gives 0.
struct Problem {
  const void* query = nullptr;   // [batch, heads, length, head_dim]
  const void* key = nullptr;     // [batch, kv_heads, length, head_dim]
  const void* value = nullptr;   // [batch, kv_heads, length, head_dim]
  void* output = nullptr;        // [batch, heads, length, head_dim]
  const float* keep = nullptr;   // [batch, length], 0 = padding; null = all kept
  const float* bias = nullptr;   // [heads, left + right + 1], added to the scores of offsets -left ... right; or null
  Dtype dtype = Dtype::kFloat32;
  int64_t batch = 0, heads = 0, kv_heads = 0, length = 0, head_dim = 0;
  int64_t left = 0, right = 0, dilation = 1;
  bool causal = false;
  float scale = 1.0f;
  const int64_t* global_tokens = nullptr;  // ascending, unique; those beyond length are ignored
  int64_t global_count = 0;
};

constexpr int kTile = 64;  // queries and keys in a tile

// A problem cut into independent tasks. Positions of equal remainder modulo the dilation form a class, inside which the
// window is contiguous; a task is a span of query tiles of one class of one head, or up to 64 global queries of one
// head.
struct Plan {
  Problem problem;
  std::vector<int32_t> globals;    // those inside the input
  std::vector<uint8_t> is_global;  // [length], empty without globals
  int64_t left = 0, right = 0;     // reach inside a class, clamped to it; right is 0 when causal
  int64_t classes = 0;
  int64_t tiles = 0;               // query tiles in the longest class
  int64_t spans = 0;               // tasks a class
  int64_t tiles_per_span = 0;
  int64_t global_tasks = 0;        // in all; they come first
  size_t tasks = 0;
};

// Throws std::bad_alloc.
Plan make_plan(const Problem& problem, int64_t threads);

// Runs one task; false when its scratch memory could not be allocated.
using RunTask = bool (*)(const Plan& plan, size_t task);

struct Implementation {
  const char* name;  // "AVX512", "AVX2", "NEON"
  RunTask run;
};

// Implementations that this CPU can execute, fastest first.
std::vector<Implementation> implementations();

// The one to use; null on a CPU where the portable graph is faster (instruction_sets.h tells how to limit the choice).
const Implementation* chosen_implementation();

}  // namespace edgeformer
