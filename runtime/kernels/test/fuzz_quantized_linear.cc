// Random problems against an exact reference, for every implementation that this CPU executes, on buffers of exactly
// the size that the problem says, so that a sanitizer sees each step outside. Some run on several threads, for the
// sanitizer of threads.
// usage: fuzz_quantized_linear [problems] [seed]
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "../src/quantized_linear.h"

using namespace edgeformer;

namespace {

constexpr double kRounding = 1.0 / (1 << 24);  // of a float32 operation, relative
// How far x / scale may be from its level, beside the half of a level: on a tie, float32 may go either way.
constexpr double kTie = 2 * kRounding * kLevels;

std::mt19937_64 generator;
int64_t draw(int64_t low, int64_t high) { return low + static_cast<int64_t>(generator() % (high - low + 1)); }
bool coin(int one_in) { return draw(1, one_in) == 1; }
float normal() { return std::normal_distribution<float>(0.0f, 1.0f)(generator); }
double uniform() { return std::uniform_real_distribution<double>(0.0, 1.0)(generator); }

// Memory up to its end; now and then it starts one element late, so that no vector is aligned.
template <typename T>
struct Buffer {
  size_t size, late;
  std::unique_ptr<T[]> memory;
  explicit Buffer(int64_t n) : size(n), late(coin(3)), memory(new T[size + late]) {}
  T* data() { return memory.get() + late; }
  T& operator[](int64_t i) { return data()[i]; }
};

enum RowKind { kNormal, kZeros, kOneSign, kOneEnd, kBothEnds, kOutlier, kDenormal, kHuge, kNotFinite, kKinds };

void fill_row(float* x, int64_t inputs) {
  const RowKind kind = coin(3) ? kNormal : static_cast<RowKind>(draw(0, kKinds - 1));
  const float sign = coin(2) ? 1.0f : -1.0f, tiny = coin(2) ? 1e-40f : 1e-44f;
  for (int64_t k = 0; k < inputs; k++) {
    const float value = normal();
    switch (kind) {
      case kZeros: x[k] = sign * 0.0f; break;
      case kOneSign: x[k] = sign * std::fabs(value); break;
      case kOneEnd: x[k] = sign; break;
      case kBothEnds: x[k] = value < 0 ? -1.0f : 1.0f; break;
      case kDenormal: x[k] = value * tiny; break;
      case kHuge: x[k] = value < 0 ? -3e38f : 3e38f; break;
      default: x[k] = value;
    }
  }
  const float odd[] = {NAN, INFINITY, -INFINITY};
  if (kind == kOutlier) x[draw(0, inputs - 1)] = sign * 1e30f;
  if (kind == kNotFinite) x[draw(0, inputs - 1)] = odd[draw(0, 2)];
}

struct Shape { int64_t inputs, outputs, rows; };

Shape random_shape() {
  if (coin(50)) return {draw(3000, 6000), draw(1, 17), draw(60, 100)};  // mostly several blocks of rows
  if (coin(50)) return {kMostInputs - draw(0, 1), draw(1, 17), draw(1, 2)};
  return {coin(3) ? draw(1, 40) : draw(1, 600), draw(1, 100), draw(1, 20)};
}

// A problem and all that it points to.
struct Case {
  Shape shape;
  LinearWeights weights;
  Buffer<uint8_t> nibbles;
  Buffer<float> scale, bias, x, y;
  Buffer<int8_t> quantized;
  Buffer<QuantizedRow> row;
  LinearProblem problem;

  explicit Case(Shape s)
      : shape(s), nibbles((s.inputs + 1) / 2 * s.outputs), scale(s.outputs), bias(s.outputs), x(s.rows * s.inputs),
        y(s.rows * s.outputs), quantized(s.rows * (((s.inputs + 1) / 2 + 15) / 16 * 32)), row(s.rows) {}
  bool fill();
};

bool Case::fill() {
  const bool extreme = coin(3), full = coin(2), one_zero = coin(2);  // extreme: the nibbles are at both ends, or all 15
  for (size_t i = 0; i < nibbles.size; i++) {
    const int64_t byte = draw(0, 255);
    nibbles[i] = static_cast<uint8_t>(!extreme ? byte : full ? 255 : (byte & 1) * 15 + (byte & 2) * 120);
  }
  for (int64_t n = 0; n < shape.outputs; n++) {
    weights.zero.push_back(one_zero ? 8 : static_cast<int32_t>(draw(0, 15)));
    scale[n] = static_cast<float>(std::ldexp(1 + uniform(), static_cast<int>(draw(-12, 2))));
    bias[n] = coin(8) ? 0.0f : normal();
  }
  for (int64_t r = 0; r < shape.rows; r++) fill_row(x.data() + r * shape.inputs, shape.inputs);
  for (size_t i = 0; i < quantized.size; i++) quantized[i] = 99;  // what an earlier call left behind
  for (size_t i = 0; i < y.size; i++) y[i] = 777.0f;
  weights.inputs = shape.inputs;
  weights.outputs = shape.outputs;
  weights.nibbles = nibbles.data();
  weights.scale = scale.data();
  weights.bias = bias.data();
  problem = {&weights, x.data(), y.data(), shape.rows, quantized.data(), row.data()};
  return weights.prepare();
}

bool wrong(const char* what, int64_t row, int64_t at, double got, double expected) {
  std::printf("row %ld, %s %ld: got %.9g, expected %.9g\n", long(row), what, long(at), got, expected);
  return false;
}

bool is_finite(const float* x, int64_t count) {
  return std::all_of(x, x + count, [](float value) { return std::isfinite(value); });
}

// Scale, zero point and levels of a row by DynamicQuantizeLinear's formula, on levels q = t + 128. The kernel's own
// scale and zero point are judged, and then taken for the levels. Scales end at the smallest normal number.
bool check_levels(Case& c, int64_t r, std::vector<int64_t>* offsets) {
  const float* x = c.x.data() + r * c.shape.inputs;
  const QuantizedRow row = c.row[r];
  const double low = std::min(0.0f, *std::min_element(x, x + c.shape.inputs));
  const double high = std::max(0.0f, *std::max_element(x, x + c.shape.inputs));
  const double span = (high - low) / kLevels, scale = std::max<double>(span, FLT_MIN);
  const bool nothing = row.scale == 0 && span < 2 * FLT_TRUE_MIN;  // a scale of 0, which makes all of the row 0
  if (!nothing && !(std::fabs(row.scale - scale) <= 3 * kRounding * scale))
    return wrong("scale", r, 0, row.scale, scale);
  const double zero = nothing ? row.zero + 128 : -low / row.scale;
  if (!(std::fabs(row.zero + 128 - zero) <= 0.5 + kTie) || row.zero < -128 || row.zero > 127)
    return wrong("zero", r, 0, row.zero, zero - 128);
  const int8_t* levels = c.quantized.data() + r * c.weights.row_bytes();
  int64_t sum = 0;
  for (int64_t k = 0; k < c.shape.inputs; k++) {
    const int64_t half = c.weights.byte_rows();
    const int64_t t = levels[k < half ? k : c.weights.panel_rows() + k - half];
    const double q = (nothing ? 0 : x[k] / static_cast<double>(row.scale)) + row.zero + 128;
    const double expected = std::min<double>(std::max(q, 0.0), kLevels) - 128;
    if (!(std::fabs(t - expected) <= 0.5 + kTie)) return wrong("level", r, k, double(t), expected);
    sum += t;
    (*offsets)[k] = t - row.zero;
  }
  return sum == row.sum || wrong("sum", r, 0, row.sum, double(sum));
}

// A result from levels that are right; the worst error, as a part of what is allowed, grows in *worst.
bool check_result(Case& c, int64_t r, int64_t n, int64_t exact, double* worst) {
  const double bias = c.bias[n], product = exact * (double(c.scale[n]) * c.row[r].scale), expected = product + bias;
  const double got = c.y[r * c.shape.outputs + n];
  // Roundings: of the sum to float32, of both scales' product (to a step of denormals, where it is one), of two more.
  const double allowed = 4 * kRounding * (std::fabs(product) + std::fabs(bias)) + std::llabs(exact) * FLT_TRUE_MIN;
  if (std::fabs(expected) + allowed >= FLT_MAX && std::isinf(got) && (got > 0) == (expected > 0)) return true;
  const double error = got == expected ? 0 : std::fabs(got - expected) / allowed;
  if (!(error <= 1)) return wrong("output", r, n, got, expected);
  *worst = std::max(*worst, error);
  return true;
}

bool check_results(Case& c, double* worst) {
  const int64_t inputs = c.shape.inputs, outputs = c.shape.outputs, half = (inputs + 1) / 2;
  std::vector<int64_t> offsets(inputs), exact(outputs);
  for (int64_t r = 0; r < c.shape.rows; r++) {
    if (!is_finite(c.x.data() + r * inputs, inputs)) {
      for (int64_t n = 0; n < outputs; n++)
        if (!std::isnan(c.y[r * outputs + n])) return wrong("output", r, n, c.y[r * outputs + n], NAN);
      continue;
    }
    if (!check_levels(c, r, &offsets)) return false;
    std::fill(exact.begin(), exact.end(), 0);
    for (int64_t k = 0; k < inputs; k++) {
      const uint8_t* bytes = c.nibbles.data() + k % half * outputs;
      const int shift = k < half ? 0 : 4;
      for (int64_t n = 0; n < outputs; n++) exact[n] += offsets[k] * ((bytes[n] >> shift & 15) - c.weights.zero[n]);
    }
    for (int64_t n = 0; n < outputs; n++)
      if (!check_result(c, r, n, exact[n], worst)) return false;
  }
  return true;
}

// All tasks, from last to first: they are independent.
void run(void (*work)(const LinearPlan&, size_t), const LinearPlan& plan, size_t tasks, size_t threads) {
  auto part = [=, &plan](size_t first) {
    for (size_t task = tasks; task-- > 0;)
      if (task % threads == first) work(plan, task);
  };
  std::vector<std::thread> others;
  for (size_t thread = 1; thread < threads; thread++) others.emplace_back(part, thread);
  part(0);
  for (std::thread& other : others) other.join();
}

bool check(const LinearImplementation& implementation, double* worst) {
  Case c(random_shape());
  if (!c.fill()) {
    std::printf("prepare() found no memory\n");
    return false;
  }
  const int64_t planned = draw(1, 8), threads = coin(4) ? draw(2, 4) : 1;
  const LinearPlan plan = make_linear_plan(c.problem, std::max(planned, threads));
  run(implementation.run_quantize, plan, plan.quantize_tasks, threads);
  run(implementation.run_product, plan, plan.product_tasks, threads);
  if (check_results(c, worst)) return true;
  std::printf("inputs %ld outputs %ld rows %ld block %ld x %ld threads %ld\n", long(c.shape.inputs),
              long(c.shape.outputs), long(c.shape.rows), long(plan.block_rows), long(plan.block_columns),
              long(threads));
  return false;
}

}  // namespace

int main(int count, char** arguments) {
  int problems = count > 1 ? std::atoi(arguments[1]) : 200;
  uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  if (linear_implementations().empty()) {
    std::printf("this CPU is not covered\n");
    return 77;
  }
  for (const LinearImplementation& implementation : linear_implementations()) {
    generator.seed(seed);
    double worst = 0;
    for (int i = 0; i < problems; i++) {
      if (check(implementation, &worst)) continue;
      std::printf("%s: problem %d of seed %llu is wrong\n", implementation.name, i,
                  static_cast<unsigned long long>(seed));
      return 1;
    }
    std::printf("%s: %d problems, worst error %.2f of what is allowed\n", implementation.name, problems, worst);
  }
  return 0;
}
