// What ONNX Runtime and Python call.
#include "local_attention.h"
#include "operators.h"
#include "quantized_linear.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

using namespace edgeformer;

// What ONNX Runtime calls by this name when the library is registered with a session.
EXPORTED OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const void* const* table = base->GetApi(ort::kApiVersion);
  if (table == nullptr)
    return ort::Api(base->GetApi(1)).CreateStatus(ort::kFail, "edgeformer-kernels needs ONNX Runtime 1.17 or newer");
  ort::Api api(table);
  if (chosen_implementation() == nullptr)
    return api.CreateStatus(ort::kFail,
                            "edgeformer-kernels covers CPUs with AVX2 (FMA, F16C), AVX512 or NEON, not this one");
  // Never released: sessions use the domain as long as they live, and nothing tells us when the last one ends.
  OrtCustomOpDomain* domain = nullptr;
  if (OrtStatus* s = api.CreateCustomOpDomain("ai.edgeformer", &domain)) return s;
  for (const OrtCustomOp* op : local_attention_operators())
    if (OrtStatus* s = api.CustomOpDomain_Add(domain, op)) return s;
  if (chosen_linear_implementation() != nullptr)
    for (const OrtCustomOp* op : quantized_linear_operators())
      if (OrtStatus* s = api.CustomOpDomain_Add(domain, op)) return s;
  return api.AddCustomOpDomain(options, domain);
}

// "AVX512", "AVX2" or "NEON"; empty on a CPU where the portable graph is faster and the library must not be registered.
EXPORTED const char* edgeformer_kernels_isa() {
  const Implementation* implementation = chosen_implementation();
  return implementation == nullptr ? "" : implementation->name;
}

// The same of ai.edgeformer::QuantizedLinear; empty where sessions run its portable body.
EXPORTED const char* edgeformer_kernels_linear_isa() {
  const LinearImplementation* implementation = chosen_linear_implementation();
  return implementation == nullptr ? "" : implementation->name;
}

// The newest versions of the operators that are implemented here.
EXPORTED int edgeformer_kernels_local_attention_version() { return kLocalAttentionVersion; }
EXPORTED int edgeformer_kernels_linear_version() { return kQuantizedLinearVersion; }
