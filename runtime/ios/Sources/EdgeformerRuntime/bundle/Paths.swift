import Foundation

private let maxPathBytes = 1024
private let maxPartBytes = 255
let maxPathParts = 32

/// Windows takes these for devices, with any ending and in any case.
private let reserved = Set(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
        + ["com", "lpt"].flatMap { port in "123456789\u{b9}\u{b2}\u{b3}".map { "\(port)\($0)" } }
)

/// Raise RuntimeBundleError, code `path`, unless `path` is a plain relative POSIX path; `place` names what holds it.
func checkRelativePath(_ path: String, _ place: String) throws {
    guard let problem = problemOf(path) else { return }
    throw RuntimeBundleError(
        "\(place): path '\(path.prefix(200))' \(problem): expected a relative path inside the bundle with '/' between "
            + "its parts. The bundle is damaged or was made to do harm: get it again from its source",
        .path
    )
}

private func problemOf(_ path: String) -> String? {
    let scalars = path.unicodeScalars
    let parts = scalars.split(separator: "/", omittingEmptySubsequences: false)
    if scalars.isEmpty { return "is empty" }
    if scalars.contains(where: cannotBeSeen) { return "holds a control character, or one that can't be seen" }
    if scalars.first == "/" { return "is absolute" }
    if scalars.contains("\\") || scalars.contains(":") {
        return "holds a backslash or a colon, which mean drives and folders on Windows"
    }
    if parts.contains(where: { $0.elementsEqual("..".unicodeScalars) }) { return "leaves the bundle" }
    if parts.contains(where: { $0.isEmpty || $0.elementsEqual(".".unicodeScalars) }) {
        return "has an empty or '.' part"
    }
    if scalars.contains(where: "<>\"|?*".unicodeScalars.contains) {
        return "holds a character that Windows doesn't allow"
    }
    if parts.contains(where: { $0.last == "." || $0.last == " " }) {
        return "has a part that ends in a dot or a space, which Windows drops"
    }
    if parts.contains(where: isDevice) { return "names a device of Windows" }
    if parts.count > maxPathParts { return "has more than \(maxPathParts) parts" }
    let longest = parts.map { String($0).utf8.count }.max()!
    return path.utf8.count > maxPathBytes || longest > maxPartBytes ? "is too long" : nil
}

private func cannotBeSeen(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return true
    case .spaceSeparator: return scalar != " "
    default: return false
    }
}

private func isDevice(_ part: Substring.UnicodeScalarView) -> Bool {
    var name = part.prefix { $0 != "." }
    while name.last == " " { name.removeLast() }
    return reserved.contains(folded(String(name)))
}

/// Raise RuntimeBundleError, code `path`, if two of `paths` are one file on some file system, or one is a folder of
/// another.
func checkDistinct(_ paths: [String], _ place: String) throws {
    func refusal(_ problem: String) -> RuntimeBundleError { RuntimeBundleError("\(place): \(problem)", .path) }
    var seen: [String: String] = [:]
    var folders: [String: String] = [:] // as folded, to as spelled
    for path in paths {
        if let known = seen.updateValue(path, forKey: folded(path)) {
            throw refusal("paths '\(known)' and '\(path)' name one file on some file systems: expected each file once")
        }
        for folder in foldersOf(path) {
            let known = folders[folded(folder), default: folder]
            if ExactText(known) != ExactText(folder) {
                throw refusal("folders '\(known)' and '\(folder)' are one on some file systems: expected one spelling")
            }
            folders[folded(folder)] = folder
        }
    }
    for (key, folder) in folders {
        if let file = seen[key] { throw refusal("'\(file)' is both a file and the folder '\(folder)'") }
    }
}

/// "a/b/c" lies in "a/b" and "a".
func foldersOf(_ path: String) -> [String] {
    var folders: [String] = []
    var rest = Substring(path)
    while let slash = rest.lastIndex(of: "/") {
        rest = rest[..<slash]
        folders.append(String(rest))
    }
    return folders
}

/// Equal for names that are one where case and Unicode form don't count. Swift has no case folding: up and down again;
/// its strings are equal in every Unicode form.
private func folded(_ path: String) -> String { path.uppercased().lowercased() }
