// ai.edgeformer::QuantizedLinear4 and RowScaledLinear4, version 1, as operators of ONNX Runtime's CPU provider:
// y = x · w + bias. The names differ in the portable bodies that they stand for.
//
// inputs   x float32 [..., K]; the others constant: weights uint8 [1, (K + 1) / 2, N], two in a byte
//          (quantized_linear.h), each plus 8; zero int8 [] or [1, 1, N]; scale float32 [1] or [N];
//          bias float32 [N]
// output   float32 [..., N]
// attributes  in_features, K
#include <memory>
#include <new>
#include <thread>

#include "operators.h"
#include "ort_operator.h"
#include "quantized_linear.h"

namespace edgeformer {
namespace {

constexpr int kOffset = 8;

struct Operator : OrtCustomOp {
  const char* name;
};

struct Kernel {
  ort::Api api;
  const Operator* op;
  const LinearImplementation* implementation;
  std::vector<float> scale;  // [N]
  LinearWeights weights;
};

int64_t size_of(const Tensor& tensor) {
  int64_t size = 1;
  for (size_t axis = 0; axis < tensor.rank; axis++) size *= tensor.shape[axis];
  return size;
}

OrtStatus* constant(const Kernel& kernel, const OrtKernelInfo* info, size_t index, const char* name, Tensor* out) {
  const ort::Api& api = kernel.api;
  int is_constant = 0;
  const OrtValue* value = nullptr;
  if (OrtStatus* s = api.KernelInfoGetConstantInput_tensor(info, index, &is_constant, &value)) return s;
  if (!is_constant || value == nullptr)
    return refuse(api, kernel.op->name, "input %s: expected a constant, an initializer of the model", name);
  return describe(api, value, kernel.op->name, name, out);
}

OrtStatus* wrong_size(const Kernel& kernel, const char* name, const Tensor& got, int64_t outputs) {
  return refuse(kernel.api, kernel.op->name, "input %s: expected %lld values, one an output channel, got %lld", name,
                static_cast<long long>(outputs), static_cast<long long>(size_of(got)));
}

// K is an attribute: the shape doesn't tell whether it is odd.
OrtStatus* read_shape(Kernel& kernel, const OrtKernelInfo* info, const Tensor& weights) {
  const ort::Api& api = kernel.api;
  LinearWeights& out = kernel.weights;
  if (weights.rank != 3)
    return refuse(api, kernel.op->name, "input weights: expected 3 axes, got %zu", weights.rank);
  out.outputs = weights.shape[2];
  out.inputs = 0;
  read(api, info, "in_features", &out.inputs);
  if (out.inputs < 1 || out.inputs > kMostInputs || out.outputs < 1 || weights.shape[0] != 1 ||
      out.byte_rows() != weights.shape[1])
    return refuse(api, kernel.op->name, "input weights: expected [1, (in_features + 1) / 2, N] with in_features = %lld "
                  "(1 to %lld), got [%lld, %lld, %lld]", static_cast<long long>(out.inputs),
                  static_cast<long long>(kMostInputs), static_cast<long long>(weights.shape[0]),
                  static_cast<long long>(weights.shape[1]), static_cast<long long>(out.outputs));
  out.nibbles = static_cast<const uint8_t*>(weights.data);
  return nullptr;
}

OrtStatus* read_constants(Kernel& kernel, const OrtKernelInfo* info) {
  Tensor weights, zero, scale, bias;
  if (OrtStatus* s = constant(kernel, info, 1, "weights", &weights)) return s;
  if (OrtStatus* s = constant(kernel, info, 2, "zero", &zero)) return s;
  if (OrtStatus* s = constant(kernel, info, 3, "scale", &scale)) return s;
  if (OrtStatus* s = constant(kernel, info, 4, "bias", &bias)) return s;
  if (OrtStatus* s = read_shape(kernel, info, weights)) return s;
  LinearWeights& out = kernel.weights;
  if (size_of(scale) != out.outputs && size_of(scale) != 1) return wrong_size(kernel, "scale", scale, out.outputs);
  if (size_of(bias) != out.outputs) return wrong_size(kernel, "bias", bias, out.outputs);
  if (size_of(zero) != out.outputs && size_of(zero) != 1) return wrong_size(kernel, "zero", zero, out.outputs);
  const float* scales = static_cast<const float*>(scale.data);
  if (size_of(scale) == 1) kernel.scale.assign(static_cast<size_t>(out.outputs), scales[0]);
  out.scale = size_of(scale) == 1 ? kernel.scale.data() : scales;
  out.bias = static_cast<const float*>(bias.data);
  out.zero.resize(static_cast<size_t>(out.outputs));
  for (int64_t n = 0; n < out.outputs; n++)
    out.zero[n] = static_cast<const int8_t*>(zero.data)[size_of(zero) == 1 ? 0 : n] + kOffset;
  return out.prepare() ? nullptr : out_of_memory(kernel.api, kernel.op->name);
}

OrtStatus* create(const OrtCustomOp* op, const void* const* table, const OrtKernelInfo* info, void** out) {
  ort::Api api(table);
  const auto* self = static_cast<const Operator*>(op);
  const LinearImplementation* implementation = chosen_linear_implementation();
  if (implementation == nullptr) return refuse(api, self->name, "this CPU is not covered: don't register the library");
  try {
    std::unique_ptr<Kernel> kernel(new Kernel{api, self, implementation, {}, {}});
    if (OrtStatus* status = read_constants(*kernel, info)) return status;
    *out = kernel.release();
    return nullptr;
  } catch (const std::bad_alloc&) {
    return out_of_memory(api, self->name);
  }
}

// What a call needs beside its tensors: kept by the thread that calls, so that no call allocates after the largest one.
struct Scratch {
  std::vector<int8_t> quantized;
  std::vector<QuantizedRow> row;
};

struct Job {
  const LinearPlan* plan;
  const LinearImplementation* implementation;
};

void quantize(void* data, size_t task) {
  const Job& job = *static_cast<Job*>(data);
  job.implementation->run_quantize(*job.plan, task);
}

void multiply(void* data, size_t task) {
  const Job& job = *static_cast<Job*>(data);
  job.implementation->run_product(*job.plan, task);
}

OrtStatus* for_all(const ort::Api& api, OrtKernelContext* context, void (*work)(void*, size_t), size_t tasks,
                   Job* job) {
  if (tasks > 1) return api.KernelContext_ParallelFor(context, work, tasks, 0, job);
  if (tasks == 1) work(job, 0);
  return nullptr;
}

OrtStatus* run(const Kernel& kernel, OrtKernelContext* context) {
  const ort::Api& api = kernel.api;
  const LinearWeights& weights = kernel.weights;
  Tensor x;
  if (OrtStatus* s = input(api, context, 0, kernel.op->name, "x", true, &x)) return s;
  if (x.rank < 1 || x.shape[x.rank - 1] != weights.inputs)
    return refuse(api, kernel.op->name, "input x: expected a last axis of %lld, got %lld on %zu axes",
                  static_cast<long long>(weights.inputs),
                  static_cast<long long>(x.rank ? x.shape[x.rank - 1] : 0), x.rank);
  LinearProblem problem;
  problem.weights = &weights;
  problem.x = static_cast<const float*>(x.data);
  problem.rows = size_of(x) / weights.inputs;
  x.shape[x.rank - 1] = weights.outputs;
  OrtValue* result = nullptr;
  void* y = nullptr;
  if (OrtStatus* s = api.KernelContext_GetOutput(context, 0, x.shape, x.rank, &result)) return s;
  if (OrtStatus* s = api.GetTensorMutableData(result, &y)) return s;
  problem.y = static_cast<float*>(y);
  thread_local Scratch scratch;
  const size_t rows = static_cast<size_t>(problem.rows);
  if (scratch.row.size() < rows) scratch.row.resize(rows);
  const size_t bytes = rows * static_cast<size_t>(weights.row_bytes());
  if (scratch.quantized.size() < bytes) scratch.quantized.resize(bytes);
  problem.quantized = scratch.quantized.data();
  problem.row = scratch.row.data();
  // The size of the session's pool can't be asked for; this only decides how finely the work is cut.
  const LinearPlan plan = make_linear_plan(problem, static_cast<int64_t>(std::thread::hardware_concurrency()));
  Job job{&plan, kernel.implementation};
  if (OrtStatus* s = for_all(api, context, quantize, plan.quantize_tasks, &job)) return s;
  return for_all(api, context, multiply, plan.product_tasks, &job);
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const Kernel& kernel = *static_cast<Kernel*>(data);
  try {
    return run(kernel, context);
  } catch (const std::bad_alloc&) {
    return out_of_memory(kernel.api, kernel.op->name);
  }
}

Operator make_operator(const char* name) {
  Operator op{plain_operator(), name};
  op.GetName = [](const OrtCustomOp* self) { return static_cast<const Operator*>(self)->name; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 5; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) -> int {
    return index == 1 ? ort::kUint8 : index == 2 ? ort::kInt8 : ort::kFloat;
  };
  op.GetOutputType = [](const OrtCustomOp*, size_t) -> int { return ort::kFloat; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

}  // namespace

std::vector<const OrtCustomOp*> quantized_linear_operators() {
  static const Operator one_scale = make_operator("QuantizedLinear4"), row_scales = make_operator("RowScaledLinear4");
  return {&one_scale, &row_scales};
}

}  // namespace edgeformer
