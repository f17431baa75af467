import Foundation

/// Softmax, the maximum subtracted first.
func softmax(_ logits: [Double]) -> [Double] {
    guard let largest = logits.max() else { return logits }
    let exponentials = logits.map { exp($0 - largest) }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { $0 / sum }
}

/// Logistic function; the form by tanh doesn't overflow.
func sigmoid(_ logit: Double) -> Double {
    0.5 * (1 + tanh(0.5 * logit))
}

/// A classifier's scores, or a regression's number, by the task's activation.
func activated(_ task: TaskSpec, _ logits: [Double]) -> [Double] {
    let usual = task.regression ? nil : task.multiLabel ? "sigmoid" : "softmax"
    switch task.activation ?? usual {
    case "softmax": return softmax(logits)
    case "sigmoid": return logits.map(sigmoid)
    case "tanh": return logits.map { tanh($0) }
    default: return logits
    }
}

/// Of equal maxima the first.
func indexOfBest(_ scores: [Double]) -> Int {
    scores.indices.reduce(0) { best, index in scores[index] > scores[best] ? index : best }
}
