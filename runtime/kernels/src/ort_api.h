// The part of ONNX Runtime's C API that a CPU operator needs, declared by ourselves: its headers are in no package
// registry. OrtApi is a table of function pointers that only grows; a function keeps its slot in every release, in the
// order of onnxruntime_c_api.h. Slots here are checked by use: a wrong one fails every test in a real session.
#pragma once
#include <cstddef>
#include <cstdint>

struct OrtStatus;         // null = success
struct OrtValue;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtTensorTypeAndShapeInfo;

struct OrtApiBase {
  const void* const* (*GetApi)(uint32_t version);  // null when the library is older than version
  const char* (*GetVersionString)();
};

// The struct of the same name of API 17; ONNX Runtime reads as many fields as `version` has.
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const void* const* api, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);  // null = CPU
  int (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t);   // 0 required, 1 optional, 2 variadic
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);       // 0 = CPU memory
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const void* const* api, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, void* context);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
  size_t (*GetMayInplace)(int**, int**);
  void (*ReleaseMayInplace)(int*, int*);
  size_t (*GetAliasMap)(int**, int**);
  void (*ReleaseAliasMap)(int*, int*);
};

namespace ort {

constexpr uint32_t kApiVersion = 17;  // the first with KernelContext_ParallelFor
enum TensorType { kFloat = 1, kUint8 = 2, kInt8 = 3, kFloat16 = 10 };
enum ErrorCode { kFail = 1, kInvalidArgument = 2 };

class Api {
 public:
  Api() = default;
  explicit Api(const void* const* table) : table_(table) {}

  OrtStatus* CreateStatus(ErrorCode code, const char* text) const {
    return at<0, OrtStatus*(int, const char*)>()(code, text);
  }
  OrtStatus* CreateCustomOpDomain(const char* name, OrtCustomOpDomain** out) const {
    return at<26, OrtStatus*(const char*, OrtCustomOpDomain**)>()(name, out);
  }
  OrtStatus* CustomOpDomain_Add(OrtCustomOpDomain* domain, const OrtCustomOp* op) const {
    return at<27, OrtStatus*(OrtCustomOpDomain*, const OrtCustomOp*)>()(domain, op);
  }
  OrtStatus* AddCustomOpDomain(OrtSessionOptions* options, OrtCustomOpDomain* domain) const {
    return at<28, OrtStatus*(OrtSessionOptions*, OrtCustomOpDomain*)>()(options, domain);
  }
  OrtStatus* GetTensorMutableData(OrtValue* value, void** out) const {
    return at<51, OrtStatus*(OrtValue*, void**)>()(value, out);
  }
  OrtStatus* GetTensorElementType(const OrtTensorTypeAndShapeInfo* info, int* out) const {
    return at<60, OrtStatus*(const OrtTensorTypeAndShapeInfo*, int*)>()(info, out);
  }
  OrtStatus* GetDimensionsCount(const OrtTensorTypeAndShapeInfo* info, size_t* out) const {
    return at<61, OrtStatus*(const OrtTensorTypeAndShapeInfo*, size_t*)>()(info, out);
  }
  OrtStatus* GetDimensions(const OrtTensorTypeAndShapeInfo* info, int64_t* out, size_t count) const {
    return at<62, OrtStatus*(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)>()(info, out, count);
  }
  OrtStatus* GetTensorTypeAndShape(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) const {
    return at<65, OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)>()(value, out);
  }
  OrtStatus* KernelInfoGetAttribute_float(const OrtKernelInfo* info, const char* name, float* out) const {
    return at<85, OrtStatus*(const OrtKernelInfo*, const char*, float*)>()(info, name, out);
  }
  OrtStatus* KernelInfoGetAttribute_int64(const OrtKernelInfo* info, const char* name, int64_t* out) const {
    return at<86, OrtStatus*(const OrtKernelInfo*, const char*, int64_t*)>()(info, name, out);
  }
  OrtStatus* KernelContext_GetInputCount(const OrtKernelContext* context, size_t* out) const {
    return at<88, OrtStatus*(const OrtKernelContext*, size_t*)>()(context, out);
  }
  OrtStatus* KernelContext_GetInput(const OrtKernelContext* context, size_t index, const OrtValue** out) const {
    return at<90, OrtStatus*(const OrtKernelContext*, size_t, const OrtValue**)>()(context, index, out);
  }
  OrtStatus* KernelContext_GetOutput(OrtKernelContext* context, size_t index, const int64_t* shape, size_t rank,
                                     OrtValue** out) const {
    using Function = OrtStatus*(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**);
    return at<91, Function>()(context, index, shape, rank, out);
  }
  void ReleaseStatus(OrtStatus* status) const { at<93, void(OrtStatus*)>()(status); }
  void ReleaseTensorTypeAndShapeInfo(OrtTensorTypeAndShapeInfo* info) const {
    at<99, void(OrtTensorTypeAndShapeInfo*)>()(info);
  }
  // With out null, *size becomes the number of values.
  OrtStatus* KernelInfoGetAttributeArray_int64(const OrtKernelInfo* info, const char* name, int64_t* out,
                                               size_t* size) const {
    return at<163, OrtStatus*(const OrtKernelInfo*, const char*, int64_t*, size_t*)>()(info, name, out, size);
  }
  // An input that is the same in every call; *constant is 0 for another. The value belongs to the session.
  OrtStatus* KernelInfoGetConstantInput_tensor(const OrtKernelInfo* info, size_t index, int* constant,
                                               const OrtValue** out) const {
    using Function = OrtStatus*(const OrtKernelInfo*, size_t, int*, const OrtValue**);
    return at<249, Function>()(info, index, constant, out);
  }
  // Calls work(data, 0 ... total - 1) on the session's own threads, and waits.
  OrtStatus* KernelContext_ParallelFor(const OrtKernelContext* context, void (*work)(void*, size_t), size_t total,
                                       size_t batches, void* data) const {
    using Function = OrtStatus*(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*);
    return at<274, Function>()(context, work, total, batches, data);
  }

 private:
  template <int SLOT, class Function>
  Function* at() const { return reinterpret_cast<Function*>(const_cast<void*>(table_[SLOT])); }
  const void* const* table_ = nullptr;
};

}  // namespace ort
