// A linear layer with 4-bit weights on the CPU: what is computed, and how it is cut into tasks. Nothing here knows ONNX
// Runtime.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace edgeformer {

constexpr int kQuantizedLinearVersion = 1;
constexpr int kPanel = 16;                // output channels that a register tile computes
constexpr int kLevels = 255;              // of an activation: q is 0 ... 255
constexpr int64_t kMostInputs = 1 << 18;  // sums of so many products of 255 · 15 fit in 32 bits

// Stored nibbles t, 0 ... 15; w = scale · (t - zero). With H = (inputs + 1) / 2, byte row i holds input i in its low
// nibble and input H + i in its high one.
struct LinearWeights {
  int64_t inputs = 0, outputs = 0;
  const uint8_t* nibbles = nullptr;  // [H][outputs]
  const float* scale = nullptr;      // [outputs]
  const float* bias = nullptr;       // [outputs]
  std::vector<int32_t> zero;         // [outputs]
  std::vector<int32_t> sums;         // [outputs], of t - zero over the inputs
  // The nibbles in the order of the product's instructions: of each 16 outputs, the last ones filled up with zeros,
  // bytes [panel_rows / 4][16][4].
  std::unique_ptr<uint8_t, void (*)(void*)> panels{nullptr, std::free};

  int64_t byte_rows() const { return (inputs + 1) / 2; }
  int64_t panel_rows() const { return (byte_rows() + 15) / 16 * 16; }
  // Bytes of a row of activations: those of low nibbles, then, panel_rows further, those of high ones.
  int64_t row_bytes() const { return 2 * panel_rows(); }
  // Fills sums and panels from the rest; false when out of memory.
  bool prepare();
};

// Activations of one row: x ≈ scale · (t - zero), t = q - 128 as stored. The scale is NaN where a value isn't finite.
struct QuantizedRow {
  float scale;
  int32_t zero;
  int32_t sum;  // of t
};

// y [rows][outputs] = x [rows][inputs] · w + bias, each row of x with a scale and zero point of its own, by the
// formula of ONNX's DynamicQuantizeLinear; a scale is at least the smallest normal number. Products and sums are
// exact.
struct LinearProblem {
  const LinearWeights* weights = nullptr;
  const float* x = nullptr;
  float* y = nullptr;
  int64_t rows = 0;
  int8_t* quantized = nullptr;  // [rows][row_bytes], scratch
  QuantizedRow* row = nullptr;  // [rows], scratch
};

// Independent tasks: first all that quantize rows, then, when these are done, all products.
struct LinearPlan {
  LinearProblem problem;
  int64_t quantize_rows = 1;   // rows a task quantizes
  size_t quantize_tasks = 0;
  int64_t block_rows = 1;      // rows and columns of a product's task
  int64_t block_columns = kPanel;
  int64_t column_blocks = 0;
  size_t product_tasks = 0;
};

LinearPlan make_linear_plan(const LinearProblem& problem, int64_t threads);

// One instruction set's way to run them.
struct LinearImplementation {
  const char* name;
  void (*run_quantize)(const LinearPlan& plan, size_t task);
  void (*run_product)(const LinearPlan& plan, size_t task);
};

// Those that this CPU can execute.
std::vector<LinearImplementation> linear_implementations();

// The one to use; null where the portable graph is faster. EDGEFORMER_KERNELS_ISA asks for one all the same.
const LinearImplementation* chosen_linear_implementation();

}  // namespace edgeformer
