// ai.edgeformer::LocalAttention, version 1, as an operator of ONNX Runtime's CPU provider.
//
// inputs   query [B, H, S, D], key and value [B, Hkv, S, D], all float32 or all float16;
//          keep float32 [B, S], 0 = padding; optional bias float32 [H, left + right + 1]
// output   [B, H, S, D]
// attributes  left, right, dilation (1), causal (0), global_tokens (none), scale
#include <atomic>
#include <new>
#include <thread>

#include "local_attention.h"
#include "operators.h"
#include "ort_operator.h"

namespace edgeformer {
namespace {

struct Operator : OrtCustomOp {
  ort::TensorType type;
};

struct Kernel {
  ort::Api api;
  Dtype dtype;
  RunTask run;
  int64_t left = -1, right = -1, dilation = 1, causal = 0;
  float scale = 0;
  std::vector<int64_t> global_tokens;
};

constexpr char kName[] = "LocalAttention";

OrtStatus* read_attributes(Kernel& kernel, const OrtKernelInfo* info) {
  const ort::Api& api = kernel.api;
  read(api, info, "left", &kernel.left);
  read(api, info, "right", &kernel.right);
  read(api, info, "dilation", &kernel.dilation);
  read(api, info, "causal", &kernel.causal);
  if (OrtStatus* status = api.KernelInfoGetAttribute_float(info, "scale", &kernel.scale)) return status;
  size_t count = 0;
  if (OrtStatus* status = api.KernelInfoGetAttributeArray_int64(info, "global_tokens", nullptr, &count)) {
    api.ReleaseStatus(status);  // none
    count = 0;
  }
  if (count > 0) {
    kernel.global_tokens.resize(count);
    int64_t* out = kernel.global_tokens.data();
    if (OrtStatus* status = api.KernelInfoGetAttributeArray_int64(info, "global_tokens", out, &count)) return status;
  }
  const int64_t most = int64_t{1} << 30;
  if (kernel.left < 0 || kernel.right < 0 || kernel.left + kernel.right < 1 || kernel.left > most ||
      kernel.right > most)
    return refuse(api, kName, "left and right: expected both >= 0, one of them > 0, got %lld and %lld",
                  static_cast<long long>(kernel.left), static_cast<long long>(kernel.right));
  if (kernel.dilation < 1 || kernel.dilation > most)
    return refuse(api, kName, "dilation: expected >= 1, got %lld", static_cast<long long>(kernel.dilation));
  for (size_t i = 0; i < kernel.global_tokens.size(); i++)
    if (kernel.global_tokens[i] < 0 || (i > 0 && kernel.global_tokens[i] <= kernel.global_tokens[i - 1]))
      return refuse(api, kName, "global_tokens: expected ascending positions >= 0, got %lld at index %zu",
                    static_cast<long long>(kernel.global_tokens[i]), i);
  return nullptr;
}

OrtStatus* create(const OrtCustomOp* op, const void* const* table, const OrtKernelInfo* info, void** out) {
  ort::Api api(table);
  const Implementation* implementation = chosen_implementation();
  if (implementation == nullptr) return refuse(api, kName, "this CPU is not covered: don't register the library");
  try {
    auto* kernel = new Kernel{};
    kernel->api = api;
    kernel->run = implementation->run;
    kernel->dtype = static_cast<const Operator*>(op)->type == ort::kFloat16 ? Dtype::kFloat16 : Dtype::kFloat32;
    OrtStatus* status = nullptr;
    try {
      status = read_attributes(*kernel, info);
    } catch (const std::bad_alloc&) {
      status = out_of_memory(api, kName);
    }
    if (status != nullptr) {
      delete kernel;
      return status;
    }
    *out = kernel;
    return nullptr;
  } catch (const std::bad_alloc&) {
    return out_of_memory(api, kName);
  }
}

// An input of a known rank. An optional one that isn't there has data = null.
OrtStatus* input(const ort::Api& api, const OrtKernelContext* context, size_t index, const char* name, size_t rank,
                 bool needed, Tensor* out) {
  if (OrtStatus* status = edgeformer::input(api, context, index, kName, name, needed, out)) return status;
  if (out->data == nullptr || out->rank == rank) return nullptr;
  return refuse(api, kName, "input %s: expected rank %zu, got %zu", name, rank, out->rank);
}

OrtStatus* wrong_shape(const ort::Api& api, const char* name, const Tensor& t, size_t rank, const int64_t* expected) {
  auto n = [](int64_t x) { return static_cast<long long>(x); };
  if (rank == 2)
    return refuse(api, kName, "input %s: expected shape [%lld, %lld], got [%lld, %lld]", name, n(expected[0]),
                  n(expected[1]), n(t.shape[0]), n(t.shape[1]));
  return refuse(api, kName, "input %s: expected shape [%lld, %lld, %lld, %lld], got [%lld, %lld, %lld, %lld]", name,
                n(expected[0]), n(expected[1]), n(expected[2]), n(expected[3]), n(t.shape[0]), n(t.shape[1]),
                n(t.shape[2]), n(t.shape[3]));
}

OrtStatus* check(const ort::Api& api, const char* name, const Tensor& t, size_t rank, const int64_t* expected) {
  for (size_t axis = 0; axis < rank; axis++)
    if (t.shape[axis] != expected[axis]) return wrong_shape(api, name, t, rank, expected);
  return nullptr;
}

struct Job {
  const Plan* plan;
  RunTask run;
  std::atomic<bool> failed{false};
};

void work(void* data, size_t task) {
  Job& job = *static_cast<Job*>(data);
  if (!job.run(*job.plan, task)) job.failed.store(true, std::memory_order_relaxed);
}

OrtStatus* attend(const Kernel& kernel, OrtKernelContext* context) {
  const ort::Api& api = kernel.api;
  Tensor query, key, value, keep, bias;
  if (OrtStatus* s = input(api, context, 0, "query", 4, true, &query)) return s;
  if (OrtStatus* s = input(api, context, 1, "key", 4, true, &key)) return s;
  if (OrtStatus* s = input(api, context, 2, "value", 4, true, &value)) return s;
  if (OrtStatus* s = input(api, context, 3, "keep", 2, false, &keep)) return s;
  if (OrtStatus* s = input(api, context, 4, "bias", 2, false, &bias)) return s;
  const int64_t *q = query.shape, kv_heads = key.shape[1];
  if (kv_heads < 1 || q[1] % kv_heads != 0 || q[3] < 1 || q[2] > (int64_t{1} << 30) || q[3] > (int64_t{1} << 20))
    return refuse(api, kName,
                  "expected a multiple of the key's heads, got %lld and %lld, with head_dim %lld, length %lld",
                  static_cast<long long>(q[1]), static_cast<long long>(kv_heads), static_cast<long long>(q[3]),
                  static_cast<long long>(q[2]));
  const int64_t of_keys[] = {q[0], kv_heads, q[2], q[3]}, of_keep[] = {q[0], q[2]};
  const int64_t of_bias[] = {q[1], kernel.left + kernel.right + 1};
  if (OrtStatus* s = check(api, "key", key, 4, of_keys)) return s;
  if (OrtStatus* s = check(api, "value", value, 4, of_keys)) return s;
  if (keep.data != nullptr)
    if (OrtStatus* s = check(api, "keep", keep, 2, of_keep)) return s;
  if (bias.data != nullptr)
    if (OrtStatus* s = check(api, "bias", bias, 2, of_bias)) return s;
  OrtValue* result = nullptr;
  Problem problem;
  if (OrtStatus* s = api.KernelContext_GetOutput(context, 0, q, 4, &result)) return s;
  if (OrtStatus* s = api.GetTensorMutableData(result, &problem.output)) return s;
  problem.query = query.data;
  problem.key = key.data;
  problem.value = value.data;
  problem.keep = static_cast<const float*>(keep.data);
  problem.bias = static_cast<const float*>(bias.data);
  problem.dtype = kernel.dtype;
  problem.batch = q[0];
  problem.heads = q[1];
  problem.kv_heads = kv_heads;
  problem.length = q[2];
  problem.head_dim = q[3];
  problem.left = kernel.left;
  problem.right = kernel.right;
  problem.dilation = kernel.dilation;
  problem.causal = kernel.causal != 0;
  problem.scale = kernel.scale;
  problem.global_tokens = kernel.global_tokens.data();
  problem.global_count = static_cast<int64_t>(kernel.global_tokens.size());
  // The size of the session's pool can't be asked for; this only decides how finely the work is cut.
  Plan plan = make_plan(problem, static_cast<int64_t>(std::thread::hardware_concurrency()));
  if (plan.tasks == 0) return nullptr;
  Job job;
  job.plan = &plan;
  job.run = kernel.run;
  if (OrtStatus* s = api.KernelContext_ParallelFor(context, work, plan.tasks, 0, &job)) return s;
  return job.failed.load() ? out_of_memory(api, kName) : nullptr;
}

OrtStatus* compute(void* kernel, OrtKernelContext* context) {
  try {
    return attend(*static_cast<Kernel*>(kernel), context);
  } catch (const std::bad_alloc&) {
    return out_of_memory(static_cast<Kernel*>(kernel)->api, kName);
  }
}

Operator make_operator(ort::TensorType type) {
  Operator op{plain_operator(), type};
  op.GetName = [](const OrtCustomOp*) { return kName; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 5; };
  op.GetInputType = [](const OrtCustomOp* self, size_t index) -> int {
    return index < 3 ? static_cast<const Operator*>(self)->type : ort::kFloat;
  };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t index) { return index < 3 ? 0 : 1; };
  op.GetOutputType = [](const OrtCustomOp* self, size_t) -> int { return static_cast<const Operator*>(self)->type; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

}  // namespace

std::vector<const OrtCustomOp*> local_attention_operators() {
  static const Operator float32 = make_operator(ort::kFloat), float16 = make_operator(ort::kFloat16);
  return {&float32, &float16};
}

}  // namespace edgeformer
