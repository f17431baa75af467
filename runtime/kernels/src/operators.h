// The operators of this library; they live as long as it.
#pragma once
#include <vector>

#include "ort_api.h"

namespace edgeformer {

std::vector<const OrtCustomOp*> local_attention_operators();
std::vector<const OrtCustomOp*> quantized_linear_operators();

}  // namespace edgeformer
