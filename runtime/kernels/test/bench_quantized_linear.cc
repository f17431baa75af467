// How much of the instruction set's peak a 4-bit linear layer reaches, on one thread.
// usage: bench_quantized_linear
//
// The peak is what the two instructions of the product do alone, in registers: 32 multiplications and additions in two
// instructions on AVX2. FMA is the same of float32, which no float32 product can exceed.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "../src/quantized_linear.h"

using namespace edgeformer;

namespace {

constexpr int kRounds = 15;

template <class Function>
double milliseconds(Function run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

constexpr int kChains = 10, kTurns = 200000;

// Multiplications and additions a nanosecond.
double peak_of_nibbles() {
  __m256i sums[kChains] = {}, bytes = _mm256_set1_epi8(3);
  const double ms = milliseconds([&] {
    for (int turn = 0; turn < kTurns; turn++)
      for (int chain = 0; chain < kChains; chain++) {
        __asm__ volatile("" : "+x"(bytes));  // computed each time
        sums[chain] = _mm256_add_epi16(sums[chain], _mm256_maddubs_epi16(bytes, bytes));
      }
  });
  for (__m256i& sum : sums) __asm__ volatile("" : : "x"(sum));
  return 32.0 * kChains * kTurns / ms / 1e6;
}

double peak_of_float32() {
  __m256 sums[kChains] = {}, ones = _mm256_set1_ps(1.0f);
  const double ms = milliseconds([&] {
    for (int turn = 0; turn < kTurns; turn++)
      for (int chain = 0; chain < kChains; chain++) {
        __asm__ volatile("" : "+x"(ones));
        sums[chain] = _mm256_fmadd_ps(ones, ones, sums[chain]);
      }
  });
  for (__m256& sum : sums) __asm__ volatile("" : : "x"(sum));
  return 8.0 * kChains * kTurns / ms / 1e6;
}

struct Layer {
  std::vector<uint8_t> nibbles;
  std::vector<float> scale, bias;
  LinearWeights weights;
  Layer(int64_t inputs, int64_t outputs) : nibbles((inputs + 1) / 2 * outputs), scale(outputs, 0.01f), bias(outputs) {
    std::mt19937 generator(1);
    for (uint8_t& byte : nibbles) byte = static_cast<uint8_t>(generator());
    weights.inputs = inputs;
    weights.outputs = outputs;
    weights.nibbles = nibbles.data();
    weights.scale = scale.data();
    weights.bias = bias.data();
    weights.zero.assign(static_cast<size_t>(outputs), 8);
    weights.prepare();
  }
};

void measure(const LinearImplementation& implementation, int64_t rows, int64_t inputs, int64_t outputs) {
  const Layer layer(inputs, outputs);
  std::mt19937 generator(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows * inputs)), y(static_cast<size_t>(rows * outputs));
  for (float& value : x) value = normal(generator);
  std::vector<int8_t> quantized(static_cast<size_t>(rows * layer.weights.row_bytes()));
  std::vector<QuantizedRow> row(static_cast<size_t>(rows));
  LinearProblem problem;
  problem.weights = &layer.weights;
  problem.x = x.data();
  problem.y = y.data();
  problem.rows = rows;
  problem.quantized = quantized.data();
  problem.row = row.data();
  const LinearPlan plan = make_linear_plan(problem, 1);
  const double work = static_cast<double>(rows * inputs * outputs);
  const int repeats = static_cast<int>(std::max(1.0, 5e7 / work));
  std::vector<double> quantize, product, share, against_float32;
  for (int round = 0; round < kRounds; round++) {
    const double peak = peak_of_nibbles(), float32 = peak_of_float32();
    quantize.push_back(milliseconds([&] {
      for (int i = 0; i < repeats; i++)
        for (size_t task = 0; task < plan.quantize_tasks; task++) implementation.run_quantize(plan, task);
    }) / repeats);
    product.push_back(milliseconds([&] {
      for (int i = 0; i < repeats; i++)
        for (size_t task = 0; task < plan.product_tasks; task++) implementation.run_product(plan, task);
    }) / repeats);
    share.push_back(work / product.back() / 1e6 / peak);
    against_float32.push_back(work / product.back() / 1e6 / float32);
  }
  std::printf("| %lld x %lld x %lld | %.3f | %.3f | %.0f | %.0f %% | %.2fx |\n", static_cast<long long>(rows),
              static_cast<long long>(inputs), static_cast<long long>(outputs), median(quantize), median(product),
              work / median(product) / 1e6, 100 * median(share), median(against_float32));
}

}  // namespace

int main() {
  const std::vector<LinearImplementation> found = linear_implementations();
  const LinearImplementation* implementation = found.empty() ? nullptr : &found.front();
  if (implementation == nullptr) {
    std::printf("no implementation for this CPU\n");
    return 77;
  }
  std::printf("4-bit linear layers, %s, 1 thread; the peak of its instructions, and float32's, measured beside each\n\n"
              "| rows x inputs x outputs | quantize, ms | product, ms | G mult-adds/s | of the peak | against FMA's |\n"
              "|---|---|---|---|---|---|\n",
              implementation->name);
  for (int64_t rows : {1, 16, 64, 128}) measure(*implementation, rows, 384, 1536);
  for (int64_t rows : {1, 16, 64, 128, 512}) measure(*implementation, rows, 768, 3072);
  measure(*implementation, 128, 3072, 768);
  measure(*implementation, 128, 768, 768);
  return 0;
}
