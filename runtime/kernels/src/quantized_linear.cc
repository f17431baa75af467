// What of a linear layer is computed once, and how a call is cut into tasks.
#include "quantized_linear.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "instruction_sets.h"

namespace edgeformer {

#if defined(__x86_64__)
namespace avx2 { void run_quantize(const LinearPlan&, size_t); void run_product(const LinearPlan&, size_t); }
#elif defined(__aarch64__)
namespace neon_dot { void run_quantize(const LinearPlan&, size_t); void run_product(const LinearPlan&, size_t); }
namespace neon { void run_quantize(const LinearPlan&, size_t); void run_product(const LinearPlan&, size_t); }
#endif

namespace {

typedef uint8_t Bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

// Four rows of 16 bytes to 16 columns of four, the columns' bytes side by side.
void interleave(Bytes16 row0, Bytes16 row1, Bytes16 row2, Bytes16 row3, uint8_t* out) {
  const Bytes16 low01 = __builtin_shufflevector(row0, row1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const Bytes16 low23 = __builtin_shufflevector(row2, row3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const Bytes16 high01 =
      __builtin_shufflevector(row0, row1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const Bytes16 high23 =
      __builtin_shufflevector(row2, row3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  Bytes16* to = reinterpret_cast<Bytes16*>(out);
  to[0] = __builtin_shufflevector(low01, low23, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
  to[1] = __builtin_shufflevector(low01, low23, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31);
  to[2] = __builtin_shufflevector(high01, high23, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
  to[3] = __builtin_shufflevector(high01, high23, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31);
}

// Up to four rows of up to 16 columns, the others zeros.
void pack_edge(const uint8_t* from, int64_t stride, int64_t rows, int64_t width, uint8_t* out) {
  Bytes16 row[4] = {};
  for (int64_t i = 0; i < rows; i++) std::memcpy(&row[i], from + i * stride, static_cast<size_t>(width));
  interleave(row[0], row[1], row[2], row[3], out);
}

}  // namespace

bool LinearWeights::prepare() {
  const int64_t rows = panel_rows(), present = byte_rows(), columns = (outputs + kPanel - 1) / kPanel * kPanel;
  panels.reset(static_cast<uint8_t*>(std::aligned_alloc(64, static_cast<size_t>(columns * rows))));
  if (panels == nullptr) return false;
  for (int64_t k = 0; k < rows; k += 4) {  // along the rows of the weights, as they lie in memory
    const uint8_t* from = nibbles + k * outputs;
    const int64_t whole = k + 4 <= present ? outputs / kPanel * kPanel : 0;
    auto row = [from, this](int64_t i, int64_t n) {
      return *reinterpret_cast<const Bytes16*>(from + i * outputs + n);
    };
    for (int64_t n = 0; n < whole; n += kPanel)
      interleave(row(0, n), row(1, n), row(2, n), row(3, n), panels.get() + n * rows + k * kPanel);
    for (int64_t n = whole; n < columns; n += kPanel)
      pack_edge(from + n, outputs, std::max<int64_t>(0, std::min<int64_t>(4, present - k)),
                std::min<int64_t>(kPanel, outputs - n), panels.get() + n * rows + k * kPanel);
  }
  sums.assign(static_cast<size_t>(outputs), 0);
  for (int64_t k = 0; k < present; k++) {
    const uint8_t* row = nibbles + k * outputs;
    const bool alone = present + k >= inputs;  // the last of an odd number of inputs
    for (int64_t n = 0; n < outputs; n++) sums[n] += (row[n] & 15) + (alone ? 0 : row[n] >> 4);
  }
  for (int64_t n = 0; n < outputs; n++) sums[n] -= static_cast<int32_t>(inputs) * zero[n];
  return true;
}

LinearPlan make_linear_plan(const LinearProblem& problem, int64_t threads) {
  const LinearWeights& weights = *problem.weights;
  LinearPlan plan;
  plan.problem = problem;
  if (problem.rows == 0 || weights.outputs == 0) return plan;
  auto parts = [](int64_t all, int64_t most) { return (all + most - 1) / most; };
  threads = std::max<int64_t>(threads, 1);
  // A task's worth of rows: below 8,192 values a thread's wake-up costs more than it saves.
  plan.quantize_rows = std::max(parts(problem.rows, threads), parts(8192, std::max<int64_t>(weights.inputs, 1)));
  plan.quantize_tasks = static_cast<size_t>(parts(problem.rows, plan.quantize_rows));
  // Rows whose activations stay in the second cache beside the weights' panel; columns that fill lines of memory.
  const int64_t most_rows = std::max<int64_t>(20, 262144 / weights.row_bytes());
  const int64_t row_blocks = parts(problem.rows, most_rows);
  plan.block_rows = parts(problem.rows, row_blocks);
  plan.block_columns = 4 * kPanel;
  if (parts(weights.outputs, plan.block_columns) * row_blocks < 2 * threads) plan.block_columns = kPanel;
  plan.column_blocks = parts(weights.outputs, plan.block_columns);
  plan.product_tasks = static_cast<size_t>(plan.column_blocks * row_blocks);
  return plan;
}

std::vector<LinearImplementation> linear_implementations() {
  std::vector<LinearImplementation> found;
#if defined(__x86_64__)
  if (covers("AVX2")) found.push_back({"AVX2", avx2::run_quantize, avx2::run_product});
#elif defined(__aarch64__)
  if (covers("NEON DOTPROD")) found.push_back({"NEON DOTPROD", neon_dot::run_quantize, neon_dot::run_product});
  found.push_back({"NEON", neon::run_quantize, neon::run_product});
#endif
  return found;
}

// With VNNI or I8MM, ONNX Runtime's own 8-bit product takes an instruction where this one takes two.
static bool is_fastest(const LinearImplementation& candidate) {
  return is_asked_for(candidate.name) || (is_allowed(candidate.name) && !covers("VNNI") && !covers("I8MM"));
}

const LinearImplementation* chosen_linear_implementation() {
  static const std::vector<LinearImplementation> found = linear_implementations();
  for (const LinearImplementation& candidate : found)
    if (is_fastest(candidate)) return &candidate;
  return nullptr;
}

}  // namespace edgeformer
