// The kernel, compiled once an instruction set with LANES (floats a vector) and ISA (its namespace) defined.
//
// A tile of 64 queries walks over its tiles of 64 keys with an online softmax (Milakov and Gimelshein 2018; tiled as in
// FlashAttention, Dao et al. 2022, algorithm 1): the maximum so far and the sum so far of each query stay beside its
// unscaled output, which is rescaled where the maximum grows. Keys are packed transposed, so that both products run
// over rows of vectors. Packed tiles lie in a ring as long as the window, and each key is packed once a span.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "local_attention.h"

namespace edgeformer {
namespace ISA {
namespace {

#include "vector.h"

#include "tile.h"
#include "pack.h"

// The queries of one span of tiles of one class of one head: their window, then the global keys outside of it.
template <class T>
bool run_span(const Plan& plan, int64_t task) {
  const Problem& p = plan.problem;
  int64_t span = task % plan.spans, remainder = task / plan.spans % plan.classes;
  Head<T> head = head_of<T>(p, task / plan.spans / plan.classes);
  int64_t length = (p.length - remainder + p.dilation - 1) / p.dilation;  // of the class
  int64_t tiles = (length + kTile - 1) / kTile;
  int64_t ring = std::min(tiles, (plan.left + kTile - 1) / kTile + (plan.right + kTile - 1) / kTile + 2);
  int64_t global_tiles = (static_cast<int64_t>(plan.globals.size()) + kTile - 1) / kTile;
  int64_t offsets = p.bias ? p.left + p.right + 1 : 0;
  Scratch scratch;
  if (!scratch.prepare(static_cast<int>(p.head_dim), ring + global_tiles,
                       2 * global_tiles * kTile + (offsets ? offsets + 4 * kTile : 0)))
    return false;
  Queries& queries = scratch.queries;
  Keys* globals = scratch.tiles.get() + ring;
  int32_t* positions = reinterpret_cast<int32_t*>(scratch.rest);
  int32_t* in_class = positions + global_tiles * kTile;
  pack_globals(globals, positions, in_class, plan, head, queries, remainder);
  float* bias = nullptr;
  if (offsets) {  // zeros around it: whole vectors are read at the window's ends
    float* padded = scratch.rest + 2 * global_tiles * kTile;
    std::fill(padded, padded + offsets + 4 * kTile, 0.0f);
    bias = padded + 2 * kTile;
    std::copy(p.bias + head.number * offsets, p.bias + (head.number + 1) * offsets, bias);
  }
  auto at = [&](int64_t index) { return remainder + index * p.dilation; };
  int64_t packed = -1;  // the last tile in the ring
  int64_t end = std::min(tiles, (span + 1) * plan.tiles_per_span);
  for (int64_t t = span * plan.tiles_per_span; t < end; t++) {
    int64_t q0 = t * kTile;
    int rows = static_cast<int>(std::min<int64_t>(kTile, length - q0));
    begin_queries(queries, head, p.scale, rows, [&](int r) { return at(q0 + r); });
    int64_t from = std::max<int64_t>(0, q0 - plan.left) / kTile;
    int64_t to = std::min(length - 1, q0 + rows - 1 + plan.right) / kTile;
    packed = std::max(packed, from - 1);
    for (int64_t kt = from; kt <= to; kt++) {
      Keys& tile = scratch.tiles.get()[kt % ring];
      int64_t k0 = kt * kTile;
      if (kt > packed) {
        pack(tile, head, queries.head_dim, queries.width, static_cast<int>(std::min<int64_t>(kTile, length - k0)),
             [&](int j) { return at(k0 + j); });
        packed = kt;
      }
      Visibility window;
      for (int r = 0; r < rows; r++) {
        window.first[r] = static_cast<int>(q0 + r - plan.left - k0);
        window.last[r] = static_cast<int>(q0 + r + plan.right - k0);
      }
      if (bias) window.bias = bias + (k0 - q0 + p.left), window.bias_step = -1;
      attend(queries, tile, window);
    }
    for (int64_t g = 0; g < global_tiles; g++) {
      Visibility outside;
      std::fill(outside.first, outside.first + kTile, 0);
      std::fill(outside.last, outside.last + kTile, kTile - 1);
      outside.positions = positions + g * kTile;
      outside.in_class = in_class + g * kTile;
      outside.reach_left = static_cast<int32_t>(std::min(plan.left * p.dilation, p.length));
      outside.reach_right = static_cast<int32_t>(std::min(plan.right * p.dilation, p.length));
      outside.causal = p.causal;
      attend(queries, globals[g], outside);
    }
    for (int r = 0; r < rows; r++)
      if (plan.is_global.empty() || !plan.is_global[queries.position[r]]) finish_row(queries, head, r);
  }
  return true;
}

// Bias of the pairs of global queries and 64 keys from k0 on that lie inside the window; 0 elsewhere. out: [rows][64].
void window_bias(const Problem& p, const Queries& queries, int64_t head, int64_t k0, float* out) {
  int64_t right = p.causal ? 0 : p.right;
  const float* bias = p.bias + head * (p.left + p.right + 1) + p.left;
  for (int r = 0; r < queries.rows; r++)
    for (int j = 0; j < kTile; j++) {
      int64_t distance = k0 + j - queries.position[r], offset = distance / p.dilation;
      bool inside = distance % p.dilation == 0 && offset >= -p.left && offset <= right;
      out[r * kTile + j] = inside ? bias[offset] : 0.0f;
    }
}

// Up to 64 global queries of one head against every key.
template <class T>
bool run_global(const Plan& plan, int64_t task) {
  const Problem& p = plan.problem;
  int64_t count = static_cast<int64_t>(plan.globals.size()), chunks = (count + kTile - 1) / kTile;
  Head<T> head = head_of<T>(p, task / chunks);
  const int32_t* own = plan.globals.data() + task % chunks * kTile;
  int rows = static_cast<int>(std::min<int64_t>(kTile, count - task % chunks * kTile));
  Scratch scratch;
  if (!scratch.prepare(static_cast<int>(p.head_dim), 1, p.bias ? kTile * kTile : 0)) return false;
  Queries& queries = scratch.queries;
  Keys& tile = *scratch.tiles.get();
  begin_queries(queries, head, p.scale, rows, [own](int r) { return static_cast<int64_t>(own[r]); });
  for (int64_t k0 = 0; k0 < p.length; k0 += kTile) {
    pack(tile, head, queries.head_dim, queries.width, static_cast<int>(std::min<int64_t>(kTile, p.length - k0)),
         [k0](int j) { return k0 + j; });
    Visibility everything;
    for (int r = 0; r < rows; r++) {
      everything.first[r] = 0;
      everything.last[r] = p.causal ? static_cast<int>(std::min<int64_t>(kTile - 1, own[r] - k0)) : kTile - 1;
    }
    if (p.bias) {
      window_bias(p, queries, head.number, k0, scratch.rest);
      everything.bias = scratch.rest;
      everything.bias_step = kTile;
    }
    attend(queries, tile, everything);
  }
  for (int r = 0; r < rows; r++) finish_row(queries, head, r);
  return true;
}

template <class T>
bool run(const Plan& plan, int64_t task) {
  return task < plan.global_tasks ? run_global<T>(plan, task) : run_span<T>(plan, task - plan.global_tasks);
}

}  // namespace

bool run_task(const Plan& plan, size_t task) {
  int64_t number = static_cast<int64_t>(task);
  return plan.problem.dtype == Dtype::kFloat16 ? run<half>(plan, number) : run<float>(plan, number);
}

}  // namespace ISA
}  // namespace edgeformer
