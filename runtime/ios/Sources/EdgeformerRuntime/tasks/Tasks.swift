/// The task of a manifest; nil for `tensors`, which only arrays go into. Throws InputError for one of a later release.
func taskOf(_ spec: TaskSpec, _ outputs: [TensorSpec]) throws -> (any ModelTask)? {
    let names = outputs.map(\.name)
    switch spec.kind {
    case "text-classification": return try ClassificationTask(spec, names, kind: "text")
    case "image-classification": return try ClassificationTask(spec, names, kind: "image")
    case "audio-classification": return try ClassificationTask(spec, names, kind: "audio")
    case "token-classification": return try TokenClassificationTask(spec, names)
    case "question-answering": return try QuestionAnswering(spec, names)
    case "feature-extraction": return try FeatureExtraction(spec, names, kind: "text")
    case "image-feature-extraction": return try FeatureExtraction(spec, names, kind: "image")
    case "image-text-similarity": return try ImageTextSimilarityTask(spec, names)
    case "zero-shot-image-classification": return try ZeroShotImageClassification(spec, names)
    case "tensors": return nil
    default:
        throw InputError("task '\(spec.kind)' is unknown to this runtime: update it, or use Session.run with arrays")
    }
}
