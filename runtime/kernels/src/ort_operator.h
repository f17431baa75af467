// What operators share: reading attributes and inputs, and refusing them.
#pragma once
#include <cstdarg>
#include <cstdio>

#include "ort_api.h"

namespace edgeformer {

// An OrtStatus that says what a node has and what was expected.
__attribute__((format(printf, 3, 4))) inline OrtStatus* refuse(const ort::Api& api, const char* name,
                                                               const char* format, ...) {
  char text[320];
  int length = std::snprintf(text, sizeof text, "ai.edgeformer::%s: ", name);
  va_list values;
  va_start(values, format);
  std::vsnprintf(text + length, sizeof text - static_cast<size_t>(length), format, values);
  va_end(values);
  return api.CreateStatus(ort::kInvalidArgument, text);
}

inline OrtStatus* out_of_memory(const ort::Api& api, const char* name) {
  char text[160];
  std::snprintf(text, sizeof text, "ai.edgeformer::%s: out of memory: try a shorter input or fewer threads", name);
  return api.CreateStatus(ort::kFail, text);
}

// A missing attribute keeps its default; that one is required is checked afterwards.
inline void read(const ort::Api& api, const OrtKernelInfo* info, const char* name, int64_t* out) {
  int64_t value;
  OrtStatus* status = api.KernelInfoGetAttribute_int64(info, name, &value);
  if (status == nullptr) *out = value;
  else api.ReleaseStatus(status);
}

constexpr size_t kMostAxes = 8;

struct Tensor {
  void* data = nullptr;
  int64_t shape[kMostAxes] = {};
  size_t rank = 0;
  int type = 0;  // of ort::TensorType
};

// Shape, type and data of a value.
inline OrtStatus* describe(const ort::Api& api, const OrtValue* value, const char* op, const char* name, Tensor* out) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (OrtStatus* status = api.GetTensorTypeAndShape(value, &info)) return status;
  OrtStatus* status = api.GetDimensionsCount(info, &out->rank);
  if (status == nullptr && out->rank <= kMostAxes) status = api.GetDimensions(info, out->shape, out->rank);
  if (status == nullptr) status = api.GetTensorElementType(info, &out->type);
  api.ReleaseTensorTypeAndShapeInfo(info);
  if (status != nullptr) return status;
  if (out->rank > kMostAxes)
    return refuse(api, op, "input %s: expected at most %zu axes, got %zu", name, kMostAxes, out->rank);
  return api.GetTensorMutableData(const_cast<OrtValue*>(value), &out->data);
}

// An input of a call. An optional one that isn't there has data = null.
inline OrtStatus* input(const ort::Api& api, const OrtKernelContext* context, size_t index, const char* op,
                        const char* name, bool needed, Tensor* out) {
  size_t count = 0;
  if (OrtStatus* status = api.KernelContext_GetInputCount(context, &count)) return status;
  const OrtValue* value = nullptr;
  if (index < count)
    if (OrtStatus* status = api.KernelContext_GetInput(context, index, &value)) return status;
  if (value == nullptr) return needed ? refuse(api, op, "input %s is missing", name) : nullptr;
  return describe(api, value, op, name, out);
}

// The functions of an operator of ONNX Runtime's CPU provider that all of ours answer alike.
inline OrtCustomOp plain_operator() {
  OrtCustomOp op{};
  op.version = ort::kApiVersion;
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return 0; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return 0; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return 0; };
  op.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  op.GetEndVersion = [](const OrtCustomOp*) { return 1; };
  return op;
}

}  // namespace edgeformer
