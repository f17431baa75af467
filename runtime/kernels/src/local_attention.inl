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

constexpr int kVectors = kTile / LANES;
constexpr int kRows = 6;                       // rows of a register block: with kColumns it fills the registers,
constexpr int kColumns = LANES == 8 ? 2 : 4;   // 16 of AVX2, 32 of AVX512 and NEON
constexpr float kMinusInfinity = -INFINITY;

struct Free { void operator()(void* p) const { std::free(p); } };
using Memory = std::unique_ptr<float, Free>;

Memory allocate(size_t floats) {
  size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
  return Memory(static_cast<float*>(std::aligned_alloc(64, bytes ? bytes : 64)));
}

// A tile of packed keys and values.
struct Keys {
  float* keys;     // [head_dim][64]
  float* values;   // [64][width], width = head_dim filled up with zeros to whole vectors
  int32_t* seen;   // [64], -1 where the key exists and is kept, else 0
  int count;       // keys that exist
  bool all_seen;   // nothing to mask, up to whole vectors of count
  bool any_seen;
};

// A tile of queries and what the online softmax knows of them.
struct Queries {
  float* scaled;                // [64][head_dim]
  float* output;                // [64][width]
  int rows;
  int head_dim, width;
  float maximum[kTile];
  vf sum[kTile];                // by lane; added up at the end
  int32_t position[kTile];
};

// Which keys of a tile each query may see, beside Keys::seen.
struct Visibility {
  int first[kTile], last[kTile];       // key numbers inside the tile, ascending with the row; may lie outside of it
  const float* bias = nullptr;         // bias of row r, key j: bias[r * bias_step + j]
  int bias_step = 0;
  const int32_t* positions = nullptr;  // a tile of global keys: theirs; keys inside a query's window are left out
  const int32_t* in_class = nullptr;   // -1 where that key could lie in the window
  int32_t reach_left = 0, reach_right = 0;
  bool causal = false;
};

// C[R][columns] (+)= A[R][begin..end) B[begin..end)[columns]; columns in vectors.
template <int R, int COLUMNS, bool ACCUMULATE>
inline __attribute__((always_inline)) void block(const float* a, int lda, const float* b, int ldb, float* c, int ldc,
                                                 int begin, int end) {
  vf sum[R][COLUMNS];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < COLUMNS; v++) sum[r][v] = ACCUMULATE ? load(c + r * ldc + v * LANES) : (vf){};
  for (int k = begin; k < end; k++) {
    vf row[COLUMNS];
    for (int v = 0; v < COLUMNS; v++) row[v] = load(b + static_cast<int64_t>(k) * ldb + v * LANES);
    for (int r = 0; r < R; r++) {
      vf x = broadcast(a[r * lda + k]);
      for (int v = 0; v < COLUMNS; v++) sum[r][v] += x * row[v];
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < COLUMNS; v++) store(c + r * ldc + v * LANES, sum[r][v]);
}

template <int R, bool ACCUMULATE>
inline void multiply(const float* a, int lda, const float* b, int ldb, float* c, int ldc, int begin, int end, int first,
                     int last) {
  int v = first;
  for (; v + kColumns <= last; v += kColumns)
    block<R, kColumns, ACCUMULATE>(a, lda, b + v * LANES, ldb, c + v * LANES, ldc, begin, end);
  if (kColumns > 2 && v + 2 <= last) {
    block<R, 2, ACCUMULATE>(a, lda, b + v * LANES, ldb, c + v * LANES, ldc, begin, end);
    v += 2;
  }
  if (v < last) block<R, 1, ACCUMULATE>(a, lda, b + v * LANES, ldb, c + v * LANES, ldc, begin, end);
}

inline vi visible(const Visibility& visibility, const Keys& tile, int row, int32_t position, int j) {
  vi seen = load_int(tile.seen + j);
  if (visibility.positions != nullptr) {
    vi at = load_int(visibility.positions + j);
    vi in_window = load_int(visibility.in_class + j) & (at >= broadcast_int(position - visibility.reach_left)) &
                   (at <= broadcast_int(position + visibility.reach_right));
    seen &= ~in_window;
    if (visibility.causal) seen &= at <= broadcast_int(position);
    return seen;
  }
  vi number = lane_numbers() + j;
  return seen & (number >= broadcast_int(visibility.first[row])) & (number <= broadcast_int(visibility.last[row]));
}

// Scores of one row become exp(score - maximum); the row's sum, maximum and output so far follow.
inline void soften(Queries& queries, const Keys& tile, const Visibility& visibility, int row, float* scores, int first,
                   int last) {
  bool masked = !tile.all_seen || visibility.positions != nullptr || visibility.first[row] > first * LANES ||
                visibility.last[row] < last * LANES - 1;
  const float* bias = visibility.bias ? visibility.bias + static_cast<int64_t>(row) * visibility.bias_step : nullptr;
  vf top = broadcast(kMinusInfinity);
  if (masked || bias != nullptr) {
    for (int v = first; v < last; v++) {
      vf x = load(scores + v * LANES);
      if (bias != nullptr) x += load(bias + v * LANES);
      if (masked) x = visible(visibility, tile, row, queries.position[row], v * LANES) ? x : broadcast(kMinusInfinity);
      store(scores + v * LANES, x);
      top = maximum(top, x);
    }
  } else {
    for (int v = first; v < last; v++) top = maximum(top, load(scores + v * LANES));
  }
  float before = queries.maximum[row], found = largest(top);
  float now = !(found <= before) ? found : before;  // NaN stays
  vf shift = broadcast(now == kMinusInfinity ? 0.0f : now), sum = {};
  for (int v = first; v < last; v++) {
    vf e = exponential(load(scores + v * LANES) - shift);
    store(scores + v * LANES, e);
    sum += e;
  }
  if (!(now == before)) {
    vf factor = exponential(broadcast(before) - shift);
    float* output = queries.output + row * queries.width;
    for (int d = 0; d < queries.width; d += LANES) store(output + d, load(output + d) * factor);
    queries.sum[row] *= factor;
    queries.maximum[row] = now;
  }
  queries.sum[row] += sum;
}

// R queries against one tile of keys. Only the vectors that one of them can see are touched.
template <int R>
inline void attend_rows(Queries& queries, const Keys& tile, const Visibility& visibility, int row) {
  int begin = std::max(0, visibility.first[row]), end = std::min(tile.count, visibility.last[row + R - 1] + 1);
  if (begin >= end) return;
  int first = begin / LANES, last = (end + LANES - 1) / LANES;
  alignas(64) float scores[R * kTile];
  multiply<R, false>(queries.scaled + row * queries.head_dim, queries.head_dim, tile.keys, kTile, scores, kTile, 0,
                     queries.head_dim, first, last);
  for (int r = 0; r < R; r++) soften(queries, tile, visibility, row + r, scores + r * kTile, first, last);
  float* output = queries.output + row * queries.width;
  multiply<R, true>(scores, kTile, tile.values, queries.width, output, queries.width, begin, end, 0,
                    queries.width / LANES);
}

template <int R>
inline void attend_rest(Queries& queries, const Keys& tile, const Visibility& visibility, int row) {
  if (queries.rows - row == R) return attend_rows<R>(queries, tile, visibility, row);
  if constexpr (R > 1) attend_rest<R - 1>(queries, tile, visibility, row);
}

void attend(Queries& queries, const Keys& tile, const Visibility& visibility) {
  if (!tile.any_seen) return;
  int row = 0;
  for (; row + kRows <= queries.rows; row += kRows) attend_rows<kRows>(queries, tile, visibility, row);
  attend_rest<kRows - 1>(queries, tile, visibility, row);
}

// What a task reads and writes, for one head of one row of the batch.
template <class T>
struct Head {
  const T *query, *key, *value;
  T* output;
  const float* keep;
  int64_t number;
};

template <class T>
Head<T> head_of(const Problem& p, int64_t batch_and_head) {
  int64_t b = batch_and_head / p.heads, h = batch_and_head % p.heads, size = p.length * p.head_dim;
  int64_t kv = b * p.kv_heads + h / (p.heads / p.kv_heads);
  return {static_cast<const T*>(p.query) + batch_and_head * size, static_cast<const T*>(p.key) + kv * size,
          static_cast<const T*>(p.value) + kv * size, static_cast<T*>(p.output) + batch_and_head * size,
          p.keep ? p.keep + b * p.length : nullptr, h};
}

// Keys and values are read at position(0 ... count - 1). Those not kept are never read: their memory may hold anything.
template <class T, class Position>
void pack(Keys& tile, const Head<T>& head, int head_dim, int width, int count, Position position) {
  int whole = (count + LANES - 1) / LANES * LANES;
  tile.count = count;
  tile.all_seen = whole == count;
  tile.any_seen = false;
  for (int j = 0; j < kTile; j++) {
    bool seen = j < count && (head.keep == nullptr || head.keep[position(j)] != 0.0f);
    tile.seen[j] = seen ? -1 : 0;
    if (j < whole && !seen) tile.all_seen = false;
    tile.any_seen |= seen;
  }
  if (!tile.any_seen) return;
  for (int j0 = 0; j0 < whole; j0 += 16)
    for (int d0 = 0; d0 < head_dim; d0 += 16) {
      int columns = std::min(16, head_dim - d0), rows = std::min(16, whole - j0);
      for (int j = j0; j < j0 + rows; j++) {
        float* out = tile.keys + d0 * kTile + j;
        if (tile.seen[j]) {
          const T* from = head.key + position(j) * head_dim + d0;
          for (int d = 0; d < columns; d++) out[d * kTile] = to_float(from[d]);
        } else {
          for (int d = 0; d < columns; d++) out[d * kTile] = 0.0f;
        }
      }
    }
  for (int j = 0; j < count; j++) {
    float* out = tile.values + j * width;
    if (tile.seen[j]) {
      const T* from = head.value + position(j) * head_dim;
      for (int d = 0; d < head_dim; d++) out[d] = to_float(from[d]);
      std::fill(out + head_dim, out + width, 0.0f);
    } else {
      std::fill(out, out + width, 0.0f);
    }
  }
}

template <class T, class Position>
void begin_queries(Queries& queries, const Head<T>& head, float scale, int rows, Position position) {
  queries.rows = rows;
  for (int r = 0; r < rows; r++) {
    int64_t at = position(r);
    queries.position[r] = static_cast<int32_t>(at);
    const T* from = head.query + at * queries.head_dim;
    for (int d = 0; d < queries.head_dim; d++) queries.scaled[r * queries.head_dim + d] = to_float(from[d]) * scale;
    queries.maximum[r] = kMinusInfinity;
    queries.sum[r] = (vf){};
  }
  std::fill(queries.output, queries.output + rows * queries.width, 0.0f);
}

template <class T>
void finish_row(const Queries& queries, const Head<T>& head, int row) {
  float sum = total(queries.sum[row]), inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
  const float* from = queries.output + row * queries.width;
  T* to = head.output + static_cast<int64_t>(queries.position[row]) * queries.head_dim;
  for (int d = 0; d < queries.head_dim; d++) from_float(from[d] * inverse, to + d);
}

// Scratch memory of a task: queries, outputs, and tiles of keys.
struct Scratch {
  Memory floats;
  std::unique_ptr<Keys, Free> tiles;
  Queries queries;
  float* rest = nullptr;

  bool prepare(int head_dim, int64_t count, int64_t extra) {
    int width = (head_dim + LANES - 1) / LANES * LANES;
    size_t tile = static_cast<size_t>(kTile) * (head_dim + width + 1);
    size_t own = static_cast<size_t>(kTile) * (head_dim + width);
    floats = allocate(own + static_cast<size_t>(count) * tile + static_cast<size_t>(extra));
    tiles.reset(static_cast<Keys*>(std::malloc(static_cast<size_t>(count) * sizeof(Keys))));
    if (!floats || !tiles) return false;
    float* next = floats.get();
    auto take = [&next](size_t n) { float* p = next; next += n; return p; };
    queries.head_dim = head_dim;
    queries.width = width;
    queries.scaled = take(static_cast<size_t>(kTile) * head_dim);
    queries.output = take(static_cast<size_t>(kTile) * width);
    for (int64_t t = 0; t < count; t++) {
      Keys& keys = tiles.get()[t];
      keys.keys = take(static_cast<size_t>(kTile) * head_dim);
      keys.values = take(static_cast<size_t>(kTile) * width);
      keys.seen = reinterpret_cast<int32_t*>(take(kTile));
    }
    rest = next;
    return true;
  }
};

// Global keys in tiles, with the positions and classes that Visibility wants. Returns the number of tiles.
template <class T>
int64_t pack_globals(Keys* tiles, int32_t* positions, int32_t* in_class, const Plan& plan, const Head<T>& head,
                     const Queries& queries, int64_t remainder) {
  int64_t count = static_cast<int64_t>(plan.globals.size()), number = (count + kTile - 1) / kTile;
  for (int64_t t = 0; t < number; t++) {
    const int32_t* own = plan.globals.data() + t * kTile;
    int here = static_cast<int>(std::min<int64_t>(kTile, count - t * kTile));
    pack(tiles[t], head, queries.head_dim, queries.width, here, [own](int j) { return static_cast<int64_t>(own[j]); });
    for (int j = 0; j < kTile; j++) {
      positions[t * kTile + j] = j < here ? own[j] : 0;
      in_class[t * kTile + j] = j < here && own[j] % plan.problem.dilation == remainder ? -1 : 0;
    }
  }
  return number;
}

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
