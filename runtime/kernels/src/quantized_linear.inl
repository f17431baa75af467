// The linear layer, compiled once an instruction set with LANES (floats a vector), ISA (its namespace) and PRODUCT (the
// file with product and kMostRows) defined.
//
// A task computes a block of rows and columns: it multiplies all its rows by the weights of 16 columns, which stay in
// the first caches, before it goes on to the next 16. 4-bit weights are taken apart in registers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

#include "quantized_linear.h"

namespace edgeformer {
namespace ISA {
namespace {

#include "vector.h"

#include PRODUCT

typedef int8_t SmallLanes __attribute__((vector_size(LANES), aligned(1), may_alias));

constexpr int32_t kHalf = 128;  // taken off a level, so that it is a signed byte

inline vi to_levels(vf x, vf inverse, vi zero) {
  const vf magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, halves to even
  vi q = (vi)(x * inverse + magic) - (vi)magic + zero;
  const vi top = broadcast_int(kLevels);
  q = q > top ? top : q;
  return (q > 0 ? q : (vi){}) - kHalf;
}

// The range of a row, 0 always inside; check is NaN where a value isn't finite.
struct Range { float low, high, check; };

Range range_of(const float* x, int64_t count) {
  vf low = {}, high = {}, check = {};
  int64_t k = 0;
  for (; k + LANES <= count; k += LANES) {
    const vf value = load(x + k);
    low = value < low ? value : low;
    high = maximum(high, value);
    check = check + value * 0.0f;
  }
  Range range{-largest(-low), largest(high), total(check)};
  for (; k < count; k++) {
    range.low = std::min(range.low, x[k]);
    range.high = std::max(range.high, x[k]);
    range.check += x[k] * 0.0f;
  }
  return range;
}

// Levels of x[0 ... count), minus 128, to out; returns their sum.
int32_t quantize_part(const float* x, int64_t count, float inverse, int32_t zero, int8_t* out) {
  const vf inverses = broadcast(inverse);
  const vi zeros = broadcast_int(zero);
  vi sums = {};
  int64_t k = 0;
  for (; k + LANES <= count; k += LANES) {
    const vi q = to_levels(load(x + k), inverses, zeros);
    sums += q;
    *reinterpret_cast<SmallLanes*>(out + k) = __builtin_convertvector(q, SmallLanes);
  }
  int32_t sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
  if (k < count) {
    float rest[LANES] = {};
    std::memcpy(rest, x + k, static_cast<size_t>(count - k) * sizeof(float));
    const vi q = to_levels(load(rest), inverses, zeros);
    for (int lane = 0; k < count; k++, lane++) {
      out[k] = static_cast<int8_t>(q[lane]);
      sum += q[lane];
    }
  }
  return sum;
}

void quantize_row(const LinearWeights& weights, const float* x, int8_t* out, QuantizedRow* row) {
  std::memset(out, 0, static_cast<size_t>(weights.row_bytes()));
  const Range range = range_of(x, weights.inputs);
  // each end divided by itself: their difference may overflow
  float scale = range.high / kLevels - range.low / kLevels;
  if (std::isnan(range.check) || scale == 0.0f) {
    *row = {std::isnan(range.check) ? NAN : 0.0f, 0, 0};
    return;
  }
  scale = std::max(scale, 1.17549435e-38f);  // the smallest normal number keeps its inverse finite
  const float inverse = 1.0f / scale;
  const int32_t zero = std::min(kLevels, static_cast<int32_t>(std::nearbyint(-range.low / scale)));
  const int64_t low = weights.byte_rows();
  const int32_t sum = quantize_part(x, low, inverse, zero, out) +
                      quantize_part(x + low, weights.inputs - low, inverse, zero, out + weights.panel_rows());
  *row = {scale, zero - kHalf, sum};
}

// From exact sums to results: rows [first_row, + ROWS), columns [first, + 16).
template <int ROWS>
void finish(const LinearProblem& problem, int64_t first_row, int64_t first, const int32_t (*sums)[kPanel]) {
  const LinearWeights& weights = *problem.weights;
  const int64_t width = std::min<int64_t>(kPanel, weights.outputs - first);
  const int32_t *zero = weights.zero.data() + first, *of_weights = weights.sums.data() + first;
  const float *scale = weights.scale + first, *bias = weights.bias + first;
  QuantizedRow row[ROWS];  // copies: for all the compiler knows, a store to y changes the originals
  std::memcpy(row, problem.row + first_row, sizeof row);
  float* y = problem.y + first_row * weights.outputs + first;
  if (width == kPanel) {
#pragma GCC unroll 4
    for (int c = 0; c < kPanel; c += LANES) {
      const vi zeros = load_int(zero + c), sums_of_weights = load_int(of_weights + c);
      const vf scales = load(scale + c), biases = load(bias + c);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; r++) {
        const vi exact = load_int(sums[r] + c) - zeros * row[r].sum - sums_of_weights * row[r].zero;
        store(y + r * weights.outputs + c, __builtin_convertvector(exact, vf) * (scales * row[r].scale) + biases);
      }
    }
  } else {
    for (int r = 0; r < ROWS; r++)
      for (int64_t c = 0; c < width; c++)
        y[r * weights.outputs + c] =
            static_cast<float>(sums[r][c] - zero[c] * row[r].sum - of_weights[c] * row[r].zero) *
                (scale[c] * row[r].scale) + bias[c];
  }
}

template <int ROWS>
void tile(const LinearProblem& problem, int64_t first_row, int64_t first, const uint8_t* panel, int64_t count) {
  const int64_t stride = problem.weights->row_bytes();
  alignas(64) int32_t sums[ROWS][kPanel];
  product<ROWS>(problem.quantized + first_row * stride, stride, panel, count, sums);
  finish<ROWS>(problem, first_row, first, sums);
}

void tile_of(int rows, const LinearProblem& problem, int64_t row, int64_t first, const uint8_t* panel, int64_t count) {
  switch (rows) {
    case 1: return tile<1>(problem, row, first, panel, count);
    case 2: return tile<2>(problem, row, first, panel, count);
    case 3: return tile<3>(problem, row, first, panel, count);
    default: return tile<kMostRows>(problem, row, first, panel, count);
  }
}

}  // namespace

void run_quantize(const LinearPlan& plan, size_t task) {
  const LinearProblem& problem = plan.problem;
  const int64_t first = static_cast<int64_t>(task) * plan.quantize_rows;
  for (int64_t row = first; row < std::min(first + plan.quantize_rows, problem.rows); row++)
    quantize_row(*problem.weights, problem.x + row * problem.weights->inputs,
                 problem.quantized + row * problem.weights->row_bytes(), problem.row + row);
}

void run_product(const LinearPlan& plan, size_t task) {
  const LinearProblem& problem = plan.problem;
  const LinearWeights& weights = *problem.weights;
  const int64_t block = static_cast<int64_t>(task) / plan.column_blocks;
  const int64_t first_row = block * plan.block_rows, rows = std::min(plan.block_rows, problem.rows - first_row);
  const int64_t first_column = static_cast<int64_t>(task) % plan.column_blocks * plan.block_columns;
  const int64_t last_column = std::min(first_column + plan.block_columns, weights.outputs);
  const int64_t count = weights.panel_rows();
  const int64_t tiles = (rows + kMostRows - 1) / kMostRows;
  for (int64_t column = first_column; column < last_column; column += kPanel) {
    for (int64_t i = 0; i < tiles; i++) {  // tiles of nearly equal heights: the last one isn't left with a single row
      const int64_t begin = rows * i / tiles, end = rows * (i + 1) / tiles;
      tile_of(static_cast<int>(end - begin), problem, first_row + begin, column,
              weights.panels.get() + column * count, count);
    }
  }
}

}  // namespace ISA
}  // namespace edgeformer
